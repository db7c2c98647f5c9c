"""Where a topic is, and how a client reaches it, read from a URL; and what goes wrong there, in our terms."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
from confluent_kafka import KafkaException

from devicesync.errors import Unavailable
from devicesync.url import Form, authority

if TYPE_CHECKING:
    from concurrent.futures import Future

_FORM = Form(
    "the topic's URL",
    ("kafka",),
    "kafka://[USER:PASSWORD@]HOST:PORT[,…]/TOPIC[?tls=1&ca=FILE&sasl=SCRAM-SHA-512]",
    ("tls", "ca", "sasl"),
)
_PORT = 9092
T = TypeVar("T")
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
_TOPIC = re.compile(r"[\w.-]+", re.ASCII)
HINT = "check that Kafka runs, that the log's URL names it, and that the topic exists: `devicesync init`, `devicesync doctor`"
TO_DELETE = (
    "kafka-configs.sh --bootstrap-server HOST:PORT --alter --entity-type topics "
    "--entity-name {} --add-config cleanup.policy=delete"
)
"""The command after which a topic takes records without keys, and keeps each record for itself."""


class KafkaUrl(msgspec.Struct, frozen=True):
    """Where a topic is, read from a URL."""

    servers: str
    topic: str
    user: str | None = None
    password: str | None = None
    sasl: Mechanism = "SCRAM-SHA-512"
    tls: bool = False
    ca: str | None = None

    @classmethod
    def parse(cls, text: str) -> "KafkaUrl":
        """Read the URL of a topic. Raises WrongUse."""
        url = _FORM.read(text)
        if not _TOPIC.fullmatch(url.path):
            raise _FORM.wrong(text, "a topic is named by letters, digits, '.', '_' and '-'")
        servers = ",".join(authority(host, port or _PORT) for host, port in url.addresses)
        known = {"servers": servers, "topic": url.path, "user": url.user, "password": url.password}
        return _FORM.convert(text, known | url.options, cls)

    @property
    def client(self) -> dict[str, Any]:
        """Librdkafka's settings for any client of this cluster."""
        security = ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT")
        login = {"sasl.mechanism": self.sasl, "sasl.username": self.user, "sasl.password": self.password} if self.user else {}
        trusted = {"ssl.ca.location": self.ca} if self.ca else {}
        return {"bootstrap.servers": self.servers, "security.protocol": security, "log_level": 2, **login, **trusted}


@contextmanager
def failures(what: str) -> Iterator[None]:
    """Raise Unavailable where Kafka's client says that it failed."""
    try:
        yield
    except KafkaException as error:
        raise Unavailable(f"can't {what} Kafka: {error.args[0].str()}", HINT) from error


def answer_to(question: "Future[T]") -> T:
    """The answer to what an admin client was asked. Raises KafkaException.

    It is another one than the client keeps. That one would keep our frames, and they the client: it would never be freed.
    """
    if isinstance(error := question.exception(), KafkaException):
        raise KafkaException(*error.args)
    return question.result()
