"""Contact with Kafka: a client that reaches nobody, or whose topic is missing, says nothing of itself.

A client may also lose Kafka for good (librdkafka's issue 5301). Where all brokers go away at once, the last one may tell that
there is none. The client then forgets all of them, and sometimes never looks for one again. Only a client made anew finds them.
"""

from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.kafka.url import HINT, KafkaUrl

_SILENCE_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0
_PATIENCE_SECONDS = 15.0
"""So long a client that reaches nobody may find Kafka again. A try may take a while, and the next one comes up to 10 s later."""
Client = AdminClient | Consumer | Producer


class CutOff(Unavailable):
    """Kafka answers others, and has not answered this client for a while: it has to be made anew."""


def look(client: Client, url: KafkaUrl, trouble: str = "") -> None:
    """Raise Unavailable where the client reaches nobody, or where the topic is missing.

    trouble: what the client has said of itself. The error then gives that as the reason why it reaches nobody.
    """
    try:
        error = client.list_topics(url.topic, timeout=_TIMEOUT_SECONDS).topics[url.topic].error
    except KafkaException as failed:
        raise Unavailable(f"Kafka is unreachable, {url.servers}: {trouble or failed.args[0].str()}", HINT) from failed
    finally:
        del client  # whoever keeps the error keeps this frame, too
    if error is not None:
        raise Unavailable(f"Kafka at {url.servers} has no topic {url.topic}: {error.str()}", HINT)


def is_cut_off(client: Client, url: KafkaUrl) -> bool:
    """Whether Kafka answers a new client, and not this one. It may still be about to try again. Takes 2 s at most."""
    return _reaches(AdminClient(url.client), url, 1.0) and not _reaches(client, url, 1.0)


def _reaches(client: Client, url: KafkaUrl, seconds: float = _TIMEOUT_SECONDS) -> bool:
    with suppress(KafkaException):
        client.list_topics(url.topic, timeout=seconds)
        return True
    return False


class Contact:
    """Asks now and then whether the topic is there: at first, after an error, and when nothing was heard for a while.

    admin: to ask about the topic. It is another one after it has reached nobody for a while.
    """

    def __init__(self, url: KafkaUrl, clock: Clock = SYSTEM) -> None:
        self.admin = AdminClient(url.client)
        self._url = url
        self._clock = clock
        self._trouble = ""
        self._in_doubt = True
        self._asked_at = self._answered_at = 0.0
        self._admin_reached_at = clock.monotonic()
        self._is_lost = False
        self._alone_since: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether nobody was asked for a while, in vain or not."""
        return self._clock.monotonic() - self._asked_at >= _SILENCE_SECONDS

    def doubt(self, error: KafkaError) -> None:
        """The client has trouble, of which it may recover by itself."""
        self._trouble = error.str()
        self._in_doubt = True

    def heard(self) -> None:
        """Note that the consumer has got something: it has not lost Kafka."""
        self._alone_since = None

    def check(self, consumer: Consumer) -> None:
        """To be called when there is nothing to read. Raises Unavailable.

        Raises CutOff where the consumer reached nobody for a while, and Kafka was there.
        """
        if not self._in_doubt and self._clock.monotonic() - self._answered_at < _SILENCE_SECONDS:
            return
        self._in_doubt = True
        self._asked_at = self._clock.monotonic()
        alone_since, self._alone_since = self._alone_since, None
        self.check_kafka()
        try:
            look(consumer, self._url)
        except Unavailable as alone:
            self._is_lost = True
            now = self._clock.monotonic()
            self._alone_since = now if alone_since is None else alone_since
            if now - self._alone_since >= _PATIENCE_SECONDS:
                self._is_lost, self._alone_since = False, None  # as the one that takes its place, which has its time, too
                raise CutOff(str(alone), alone.hint) from alone
            raise
        self._in_doubt = False
        self._asked_at = self._answered_at = self._clock.monotonic()

    def check_kafka(self) -> None:
        """Raise Unavailable where Kafka is away, or has no such topic."""
        self._is_lost = True
        try:
            look(self.admin, self._url, self._trouble)
        except Unavailable as away:
            self._is_lost = isinstance(away.__cause__, KafkaException)
            if self._is_lost and self._clock.monotonic() - self._admin_reached_at >= _PATIENCE_SECONDS:
                self.admin, self._admin_reached_at = AdminClient(self._url.client), self._clock.monotonic()
            raise
        self._admin_reached_at = self._clock.monotonic()
        self._is_lost = False
        self._trouble = ""

    def is_lost(self, consumer: Consumer) -> bool:
        """Whether nobody answers the consumer; known at once where nobody did last time."""
        self._is_lost = self._is_lost or not _reaches(consumer, self._url)
        return self._is_lost
