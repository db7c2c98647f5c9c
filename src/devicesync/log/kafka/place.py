"""Where a topic is, and how a client reaches it, read from a URL; and what goes wrong there, in our terms."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from confluent_kafka import KafkaException

from devicesync.errors import Unavailable, WrongUse

FORM = "kafka://[USER:PASSWORD@]HOST:PORT[,…]/TOPIC[?tls=1&ca=FILE&sasl=SCRAM-SHA-512]"
HINT = "check that Kafka runs, that the log's URL names it, and that the topic exists: `devicesync init`, `devicesync doctor`"


class Place(msgspec.Struct, frozen=True):
    """Where a topic is, read from a URL."""

    servers: str
    topic: str
    user: str | None = None
    password: str | None = None
    sasl: str = "SCRAM-SHA-512"
    tls: bool = False
    ca: str | None = None

    @property
    def client(self) -> dict[str, Any]:
        """Librdkafka's settings for any client of this cluster."""
        security = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        login = {"sasl.mechanism": self.sasl, "sasl.username": self.user, "sasl.password": self.password} if self.user else {}
        trusted = {"ssl.ca.location": self.ca} if self.ca else {}
        return {"bootstrap.servers": self.servers, "security.protocol": security, "log_level": 2, **login, **trusted}


def place_of(url: str) -> Place:
    """Read a log URL. Raises WrongUse."""
    who, _, rest = url.removeprefix("kafka://").rpartition("@")
    servers, _, path = rest.partition("/")
    topic, _, query = path.partition("?")
    user, _, password = who.partition(":")
    login = {"user": unquote(user), "password": unquote(password)} if who else {}
    options = dict(parse_qsl(query))
    try:
        place = msgspec.convert({"servers": servers, "topic": topic, **login, **options}, Place, strict=False)
    except msgspec.ValidationError as error:
        raise WrongUse(f"the log's URL: {error}", f"write {FORM}") from None
    if not servers or not topic or set(options) - {"sasl", "tls", "ca"}:
        raise WrongUse("the log's URL is not understood", f"write {FORM}")
    return place


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Raise Unavailable where Kafka's client says that it failed."""
    try:
        yield
    except KafkaException as error:
        raise Unavailable(f"can't {what} Kafka: {error.args[0].str()}", HINT) from error
