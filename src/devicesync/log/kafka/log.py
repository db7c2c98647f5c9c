"""Kafka as the log: produced with acks=all and idempotence, keyed as Java's clients do it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.full import FullRecord, RebalanceListener, Survey
from devicesync.log.kafka.contact import Contact
from devicesync.log.kafka.full import KafkaFullReader
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.reader import KafkaReader
from devicesync.log.kafka.survey import newest, records, survey, taken_since
from devicesync.log.kafka.url import HINT, TO_DELETE, KafkaUrl, failures
from devicesync.log.port import Headers, Record


class TooLarge(Unavailable):
    """The topic takes no records of that size."""


class Invalid(Unavailable):
    """The topic takes none of some records, however often they come. stamps_ms: the times of those, as far as is known."""

    def __init__(self, message: str, hint: str, stamps_ms: frozenset[int]) -> None:
        super().__init__(message, hint)
        self.stamps_ms = stamps_ms


_INVALID = {KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP}


class Outgoing(NamedTuple):
    """A record to be produced. headers: pairs, or None. partition: -1 leaves it to the key. timestamp_ms: 0 is now."""

    value: bytes | None
    key: bytes | None
    headers: Any = None
    partition: int = -1
    timestamp_ms: int = 0


def group_of(group: str, reader: str) -> str:
    """The consumer group of readers of that name."""
    return group if reader == "updater" else f"{group}.{reader}"


class KafkaLog:
    """See port.Log. `group`: the consumer group of readers; a reader's name is added to it, except the updater's."""

    def __init__(self, url: KafkaUrl, group: str, clock: Clock = SYSTEM) -> None:
        self._url = url
        self._clock = clock
        self.source = self.topic = url.topic
        self._group = group
        self._producer = Producer(url)
        self._taken_ms: int | None = None

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> None:
        """See port.Log. Records of one key keep their order: they go to one partition."""
        none = (None,) * len(values)
        outgoing = [Outgoing(*record) for record in zip(values, keys or none, headers or none, strict=True)]
        with failures("append to"):
            self._taken_ms = deliver(self._producer, self._url.topic, outgoing)

    def taken_ms(self) -> int | None:
        """See port.Log; known where the topic has the broker's time (LogAppendTime), as `init` sets it."""
        return self._taken_ms

    def newest(self, count: int) -> Iterator[Record]:
        """See port.Log."""
        return newest(self._url, count)

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int]) -> Iterator[Record]:
        """See port.Log."""
        return taken_since(self._url, ms, count, seen)

    def check(self) -> None:
        """See port.Log: whether Kafka answers and has the topic."""
        Contact(self._url, self._clock).check(self._producer.client())

    def reader(self, name: str) -> "KafkaReader":
        """See port.Log."""
        return KafkaReader(self._url, group_of(self._group, name), self._clock)

    def full_reader(self, name: str, listener: RebalanceListener) -> KafkaFullReader:
        """See full.FullLog."""
        return KafkaFullReader(self._url, group_of(self._group, name), listener, self._clock)

    def survey(self) -> Survey:
        """See full.FullLog."""
        return survey(self._url)

    def records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        """See full.FullLog."""
        return records(self._url, partition, start, end)

    def close(self) -> None:
        """See port.Log."""
        with suppress(KafkaException):  # which `append` has told
            self._producer.flush()


def deliver(producer: Producer, topic: str, records: Sequence[Outgoing]) -> int | None:
    """Produce records. Return when the brokers have all of them: the earliest time at which one took them, in ms.

    None where the topic does not have the brokers' times.

    Raises Unavailable, TooLarge if a record, or a batch that the client made of several, has too many bytes; Invalid for records
    that are invalid by the topic's settings; KafkaException.
    """
    failures: list[KafkaError] = []
    invalid_ms: set[int] = set()
    taken_ms: int | None = None

    def delivered(error: KafkaError | None, message: Message) -> None:
        nonlocal taken_ms
        if error is not None:
            failures.append(error)
            if error.code() in _INVALID:
                invalid_ms.add(message.timestamp()[1])
        elif message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME:
            stamp_ms = message.timestamp()[1]
            taken_ms = stamp_ms if taken_ms is None else min(taken_ms, stamp_ms)  # partitions lie on several brokers

    producer.produce(
        (topic, value, key, partition, delivered, None, timestamp_ms, headers)
        for value, key, headers, partition, timestamp_ms in records
    )
    left = producer.flush()
    if failures or left:
        raise _failure(topic, failures, frozenset(invalid_ms))
    return taken_ms


def _failure(topic: str, failures: list[KafkaError], invalid_ms: frozenset[int]) -> Unavailable:
    """What to raise for these errors; none is a time-out. invalid_ms: the times of records that are invalid."""
    if failures and failures[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
        return TooLarge(f"{topic} in Kafka takes no records of that size", "raise the topic's max.message.bytes")
    if invalid_ms:
        told = next(error for error in failures if error.code() in _INVALID)
        compacted = f"a topic with cleanup.policy=compact takes no record without a key: {TO_DELETE.format(topic)}"
        hint = compacted if told.code() == KafkaError.INVALID_RECORD else HINT
        return Invalid(f"{topic} in Kafka refuses a record: {told.str()}", hint, invalid_ms)
    return Unavailable(f"can't append to {topic} in Kafka: {failures[0].str() if failures else 'time-out'}", HINT)
