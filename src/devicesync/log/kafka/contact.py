"""Contact with Kafka: a client that reaches nobody, or whose topic is missing, says nothing of itself."""

from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.kafka.url import HINT, KafkaUrl

_SILENCE_SECONDS = 10.0
_TIMEOUT_SECONDS = 5.0


class Contact:
    """Asks now and then whether the topic is there: at first, after an error, and when nothing was heard for a while."""

    def __init__(self, url: KafkaUrl, clock: Clock = SYSTEM) -> None:
        self._url = url
        self._clock = clock
        self._trouble = ""
        self._in_doubt = True
        self._is_lost = False
        self._asked_at = 0.0

    def doubt(self, error: KafkaError) -> None:
        """The client has trouble, of which it may recover by itself."""
        self._trouble = error.str()
        self._in_doubt = True

    def check(self, client: AdminClient | Producer) -> None:
        """To be called when there is nothing to read. Raises Unavailable."""
        if not self._in_doubt and self._clock.monotonic() - self._asked_at < _SILENCE_SECONDS:
            return
        self._in_doubt = True
        try:
            error = self._ask(client)
        except KafkaException as failed:
            why = self._trouble or failed.args[0].str()
            raise Unavailable(f"Kafka is unreachable, {self._url.servers}: {why}", HINT) from failed
        if error is not None:
            raise Unavailable(f"Kafka at {self._url.servers} has no topic {self._url.topic}: {error.str()}", HINT)
        self._in_doubt = False
        self._trouble = ""
        self._asked_at = self._clock.monotonic()

    def is_lost(self, client: AdminClient | Producer) -> bool:
        """Whether nobody answers; known at once where nobody did last time."""
        if not self._is_lost:
            with suppress(KafkaException):
                self._ask(client)
        return self._is_lost

    def _ask(self, client: AdminClient | Producer) -> KafkaError | None:
        """What is wrong with the topic. Raises KafkaException."""
        self._is_lost = True
        error: KafkaError | None = client.list_topics(self._url.topic, timeout=_TIMEOUT_SECONDS).topics[self._url.topic].error
        self._is_lost = False
        return error
