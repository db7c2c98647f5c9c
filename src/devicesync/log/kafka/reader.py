"""A member of a consumer group. Nothing here coordinates anything: partitions are Kafka's, and the law bears every duplicate."""

import time
from contextlib import suppress

from confluent_kafka import (
    OFFSET_INVALID,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from devicesync.errors import Unavailable
from devicesync.log.kafka.place import HINT, Place, failures
from devicesync.log.port import Record

_POLL_SECONDS = 0.1
_KEPT = 100
_COMMIT_SECONDS = 0.1
_TIMEOUT_SECONDS = 10.0
_REBALANCING = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._NO_OFFSET,  # noqa: SLF001 - librdkafka's own codes have this name
}


class KafkaReader:
    """See port.Reader. Shares the topic's partitions with the other members of its group.

    A partition that is taken away drops what was polled of it and not committed: the next owner reads it again. So a
    commit never covers a partition that this reader has lost, and a reader that wakes up after its time does no harm.
    """

    def __init__(self, place: Place, group: str) -> None:
        self._topic = place.topic
        self._polled: dict[int, int] = {}
        self._due: dict[int, int] = {}
        self._kept: list[Message] = []
        self._paused = False
        self._committed_at = 0.0
        self._consumer = Consumer(
            {
                **place.client,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 10_000,
                "fetch.wait.max.ms": 5,
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": 16_384,
            }
        )
        self._is_member = False

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """See port.Reader."""
        deadline = time.monotonic() + timeout_seconds
        with failures("read"):
            if not self._is_member:  # only now: who just asks caught_up must not be given partitions
                self._consumer.subscribe([self._topic], on_revoke=self._forget, on_lost=self._forget)
                self._is_member = True
            if self._paused:
                self._consumer.resume(self._consumer.assignment())
                self._paused = False
            while True:
                # Kept until all went well: what a failing call has taken from the consumer must not be lost.
                if not self._kept:
                    self._kept = self._consumer.consume(1, min(_POLL_SECONDS, max(deadline - time.monotonic(), 0)))
                if self._kept and max_records > len(self._kept):
                    self._kept += self._consumer.consume(max_records - len(self._kept), 0)
                records = self._take_kept()
                if not records:
                    self._commit_due()
                if records or time.monotonic() >= deadline:
                    return records

    def keep_alive(self) -> None:
        """See port.Reader: pauses the partitions and serves the group, which else takes them away after five minutes."""
        with failures("read"):
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
            self._kept += self._consumer.consume(_KEPT, 0)  # of a partition that was assigned just now

    def commit(self) -> None:
        """See port.Reader. It is done every 100 ms, and when there is nothing to poll: a crash repeats the rest."""
        self._due |= self._polled
        self._polled = {}
        if time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit_due()

    def lag(self) -> int:
        """See port.Reader; of the partitions assigned to this reader."""
        with failures("read"):
            total = 0
            for place in self._consumer.position(self._consumer.assignment()):
                low, high = self._consumer.get_watermark_offsets(place, timeout=_TIMEOUT_SECONDS)
                total += high - (place.offset if place.offset >= 0 else self._committed(place, low))
            return total

    def caught_up(self) -> bool:
        """Whether the whole group has committed everything that is in the topic now."""
        with failures("read"):
            partitions = self._consumer.list_topics(self._topic, timeout=_TIMEOUT_SECONDS).topics[self._topic].partitions
            places = [TopicPartition(self._topic, partition) for partition in partitions]
            for place in self._consumer.committed(places, timeout=_TIMEOUT_SECONDS):
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, place.partition), timeout=_TIMEOUT_SECONDS
                )
                if high > low and (place.offset == OFFSET_INVALID or place.offset < high):
                    return False
            return True

    def close(self) -> None:
        """See port.Reader; leaves the group, so that the others take over at once."""
        with suppress(Unavailable):
            self._commit_due()
        self._consumer.close()

    def _commit_due(self) -> None:
        if not self._due:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in self._due.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            if _code(error) not in _REBALANCING:
                raise Unavailable(f"can't commit to Kafka: {error}", HINT) from error
            # Still due, and tried again by the next poll; the group then tells us what was taken away.
        else:
            self._due = {}
            self._committed_at = time.monotonic()

    def _committed(self, place: TopicPartition, low: int) -> int:
        (found,) = self._consumer.committed([place], timeout=_TIMEOUT_SECONDS)
        return found.offset if found.offset >= 0 else low

    def _take_kept(self) -> list[Record]:
        messages, self._kept = self._kept, []
        good = [message for message in messages if message.error() is None]
        if messages and not good:
            raise KafkaException(messages[0].error())
        records = [_record(message) for message in good]
        for record in records:
            self._polled[record.partition] = record.offset + 1
        return records

    def _forget(self, _: Consumer, places: list[TopicPartition]) -> None:
        gone = {place.partition for place in places}
        self._polled, self._due = (
            {partition: offset for partition, offset in offsets.items() if partition not in gone}
            for offsets in (self._polled, self._due)
        )
        self._kept = [message for message in self._kept if message.partition() not in gone]


def _record(message: Message) -> Record:
    now_ms = time.time_ns() // 1_000_000
    kind, stamp_ms = message.timestamp()
    has_time = kind != TIMESTAMP_NOT_AVAILABLE
    # A producer's own clock may run ahead: what the broker did not stamp was taken now at the latest.
    taken_ms = stamp_ms if kind == TIMESTAMP_LOG_APPEND_TIME else min(stamp_ms, now_ms) if has_time else now_ms
    logged_ms = stamp_ms if has_time else None
    partition, offset = int(message.partition() or 0), int(message.offset() or 0)
    return Record(message.value() or b"", partition, offset, taken_ms, logged_ms, _bytes(message.key()))


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())
