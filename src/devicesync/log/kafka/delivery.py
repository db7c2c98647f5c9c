"""Producing records, and knowing of each whether the brokers have it."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException, Message

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.log.kafka.leaders import partition_of, partitions_of
from devicesync.log.kafka.producer import DELIVERY_SECONDS, Producer
from devicesync.log.kafka.url import HINT, TO_DELETE
from devicesync.log.leaderless import HINT as LEADERLESS_HINT
from devicesync.log.leaderless import named
from devicesync.log.port import NoLeader, Partitions

_LOOK_SECONDS = 0.25
"""So long records are on their way at most before it is asked whether their partitions have leaders."""
_STEP_SECONDS = 0.05
_TIMEOUT_SECONDS = 1.0


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


def deliver(producer: Producer, topic: str, records: Sequence[Outgoing]) -> int | None:
    """Produce records. Return when the brokers have all of them: the earliest time at which one took them, in ms.

    None where the topic does not have the brokers' times.

    Raises Unavailable, TooLarge if a record, or a batch that the client made of several, has too many bytes; Invalid for records
    that are invalid by the topic's settings; NoLeader where all others are delivered; KafkaException.
    """
    sent = _Sent(producer, topic, records)
    producer.produce(
        (topic, value, key, where, partial(sent.delivered, spot), None, timestamp_ms, headers)
        for spot, (value, key, headers, where, timestamp_ms) in enumerate(records)
    )
    sent.wait()
    return sent.taken_ms


class _Sent:
    """Records on their way. taken_ms: the earliest time at which a broker took one of them."""

    def __init__(self, producer: Producer, topic: str, records: Sequence[Outgoing]) -> None:
        self.taken_ms: int | None = None
        self._producer = producer
        self._topic = topic
        self._records = records
        self._left = set(range(len(records)))
        self._failures: dict[int, KafkaError] = {}
        self._invalid_ms: set[int] = set()

    def delivered(self, spot: int, error: KafkaError | None, message: Message) -> None:
        """Take the client's word of one of them."""
        self._left.discard(spot)
        if error is not None:
            self._failures[spot] = error
            if error.code() in _INVALID:
                self._invalid_ms.add(message.timestamp()[1])
        elif message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME:
            stamp_ms = message.timestamp()[1]
            # Partitions lie on several brokers.
            self.taken_ms = stamp_ms if self.taken_ms is None else min(self.taken_ms, stamp_ms)

    def wait(self) -> None:
        """Return when all are delivered. Raises as `deliver`.

        What has no leader is given up soon. The client still tries for 10 s: the brokers may get it, or not.
        """
        deadline, look_at = SYSTEM.monotonic() + DELIVERY_SECONDS, SYSTEM.monotonic() + _LOOK_SECONDS
        while True:
            is_under_way = self._producer.flush(_STEP_SECONDS)
            now = SYSTEM.monotonic()
            is_over = not self._left or not is_under_way or now > deadline
            if is_over and not self._left and not self._failures:
                return
            if is_over or now > look_at:
                self._check_leaders()
                look_at = SYSTEM.monotonic() + 4 * _LOOK_SECONDS
            if is_over:
                if self._left or KafkaError._MSG_TIMED_OUT in {error.code() for error in self._failures.values()}:  # noqa: SLF001
                    self._producer.reconnect()
                raise self._failure()

    def _check_leaders(self) -> None:
        """Raise NoLeader if no other records are left, or have failed, than those of partitions without a leader."""
        spots = frozenset(self._left | self._failures.keys())
        with suppress(KafkaException):  # then nobody answers
            found = partitions_of(self._producer.client(), self._topic, _TIMEOUT_SECONDS)
            where = {self._where(self._records[spot], found) for spot in spots}
            if where <= found.leaderless:
                told = f"partitions of {self._topic} in Kafka have no leader: {named(where)}"
                raise NoLeader(told, LEADERLESS_HINT, spots, self.taken_ms)

    @staticmethod
    def _where(record: Outgoing, found: Partitions) -> int:
        """The partition that it goes to; -1 where only the client knows it."""
        if record.partition >= 0 or record.key is None:
            return record.partition
        return partition_of(record.key, found.total)

    def _failure(self) -> Unavailable:
        """What to raise for the records that failed; none is a time-out."""
        topic, failures = self._topic, [*self._failures.values()]
        if failures and failures[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLarge(f"{topic} in Kafka takes no records of that size", "raise the topic's max.message.bytes")
        if self._invalid_ms:
            told = next(error for error in failures if error.code() in _INVALID)
            compacted = f"a topic with cleanup.policy=compact takes no record without a key: {TO_DELETE.format(topic)}"
            hint = compacted if told.code() == KafkaError.INVALID_RECORD else HINT
            return Invalid(f"{topic} in Kafka refuses a record: {told.str()}", hint, frozenset(self._invalid_ms))
        return Unavailable(f"can't append to {topic} in Kafka: {failures[0].str() if failures else 'time-out'}", HINT)
