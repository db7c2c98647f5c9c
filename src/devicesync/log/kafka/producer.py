"""A producer that is replaced when its client can produce no more."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Producer as Client

from devicesync.log.kafka.contact import is_cut_off, look
from devicesync.log.kafka.url import KafkaUrl

DELIVERY_SECONDS = 10.0
_POLL_SECONDS = 0.1
_RECORD_BYTES = 104_857_600
"""What a producer sends at most: the topic says what it takes."""


class Producer:
    """Loses, doubles and reorders nothing while its client lives. Safe for threads.

    After a broker has restarted, a client may have lost count with it. That is fatal by its own words: it produces nothing more.
    It may also have lost the broker itself, see contact. The next `produce` then opens a new one.
    """

    def __init__(self, url: KafkaUrl, **settings: Any) -> None:
        self._url = url
        self._settings: dict[str, Any] = {
            **url.client,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 2,
            "message.max.bytes": _RECORD_BYTES,
            "compression.type": "lz4",
            "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
            # Java clients' way, so that a key goes to the same partition whoever writes it.
            "partitioner": "murmur2_random",
            **settings,
        }
        self._client: Client | None = None
        self._lock = threading.Lock()

    def client(self) -> Client:
        """The client, opened when it is asked for first."""
        with self._lock:
            if self._client is None:
                self._client = Client(self._settings)
            return self._client

    def check(self) -> None:
        """Raise Unavailable unless Kafka answers its client and has the topic."""
        look(self.client(), self._url)

    def reconnect(self) -> None:
        """To be called where its client may have reached nobody. If Kafka answers a new one, the next `produce` opens it.

        What the old one had not delivered is not told by `flush` any more: whoever counts only failures calls this after that.
        """
        client = self._client
        if client is not None and is_cut_off(client, self._url):
            self._give_up(client)

    def produce(self, records: Iterable[tuple[Any, ...]]) -> None:
        """Hand them to the client, each as what its `produce` takes. Waits while that has too many. Raises KafkaException."""
        client = self.client()
        with self._given_up_if_fatal(client):
            for record in records:
                while True:
                    try:
                        client.produce(*record)
                    except BufferError:
                        client.poll(_POLL_SECONDS)
                    else:
                        break

    def flush(self, seconds: float = DELIVERY_SECONDS) -> int:
        """Wait until all is delivered, for so long at most. Return how many records are not. Raises KafkaException."""
        client = self._client
        if client is None:
            return 0
        with self._given_up_if_fatal(client):
            return client.flush(seconds)

    @contextmanager
    def _given_up_if_fatal(self, client: Client) -> Iterator[None]:
        """The client raises what is fatal wherever it just calls back; where that calls on, as the cause of another error."""
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() == KafkaError._FATAL or error.args[0].fatal():  # noqa: SLF001 - librdkafka's own name
                self._give_up(client)
            raise
        except SystemError as error:
            self._give_up(client)
            if isinstance(error.__cause__, KafkaException):
                raise error.__cause__ from None
            raise

    def _give_up(self, client: Client) -> None:
        with self._lock:
            if self._client is client:
                self._client = None
