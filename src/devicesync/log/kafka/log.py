"""Kafka as the log: produced with acks=all and idempotence, keyed as Java's clients do it."""

import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from devicesync.errors import Unavailable
from devicesync.log.kafka.place import HINT, Place, failures
from devicesync.log.kafka.reader import KafkaReader

_POLL_SECONDS = 0.1
_DELIVERY_SECONDS = 10.0

Outgoing = tuple[bytes | None, bytes | None, Any]
"""A record to be produced: value, key, and headers as (name, bytes) pairs or None."""


class KafkaLog:
    """See port.Log. `group`: the consumer group of readers; a reader's name is added to it, but for the updater's."""

    def __init__(self, place: Place, group: str) -> None:
        self._place = place
        self._group = group
        self._producer: Producer | None = None
        self._lock = threading.Lock()

    def append(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> None:
        """See port.Log. Records of one key keep their order: they go to one partition."""
        outgoing = [(value, keys[spot] if keys else None, None) for spot, value in enumerate(values)]
        with failures("append to"):
            deliver(self._open_producer(), self._place.topic, outgoing)

    def reader(self, name: str) -> "KafkaReader":
        """See port.Log."""
        return KafkaReader(self._place, self._group if name == "updater" else f"{self._group}.{name}")

    def close(self) -> None:
        """See port.Log."""
        if self._producer is not None:
            self._producer.flush(_DELIVERY_SECONDS)

    def _open_producer(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer(
                    {
                        **self._place.client,
                        "acks": "all",
                        "enable.idempotence": True,
                        "linger.ms": 2,
                        "compression.type": "lz4",
                        "delivery.timeout.ms": int(_DELIVERY_SECONDS * 1000),
                        # Java clients' way, so that a key goes to the same partition whoever writes it.
                        "partitioner": "murmur2_random",
                    }
                )
            return self._producer


def deliver(producer: Producer, topic: str, records: Sequence[Outgoing]) -> None:
    """Produce records; return when the brokers have all of them. Raises Unavailable, and KafkaException."""
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    for value, key, headers in records:
        while True:
            try:
                producer.produce(topic, value, key, headers=headers, on_delivery=delivered)
            except BufferError:
                producer.poll(_POLL_SECONDS)
            else:
                break
    left = producer.flush(_DELIVERY_SECONDS)
    if failures or left:
        raise Unavailable(f"can't append to {topic} in Kafka: {failures[0].str() if failures else 'time-out'}", HINT)
