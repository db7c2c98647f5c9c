"""The backup's side of a topic: whole records, and claims that Kafka fences.

A claim is a commit with metadata. The group's coordinator fences members that have lost a partition: it refuses their
commits. So what a zombie believes can't contradict what the partition's owner has claimed.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import structlog
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message, TopicPartition

from devicesync.clock import SYSTEM, Clock
from devicesync.log.full import HEADERS, KEY, LARGEST_BYTES, OFFSET, VALUE, Claim, FullRecord, RebalanceListener
from devicesync.log.kafka.applied import Applied
from devicesync.log.kafka.bounds import TIMEOUT_SECONDS, bounds, firsts
from devicesync.log.kafka.headers import headers_of
from devicesync.log.kafka.identity import Note, identity_of, note_of, noted
from devicesync.log.kafka.leaders import partitions_of
from devicesync.log.kafka.member import Member
from devicesync.log.kafka.standing import Standing
from devicesync.log.kafka.url import KafkaUrl, failures
from devicesync.log.record_bytes import bytes_of

_log: Any = structlog.get_logger("devicesync")
_FETCH_BYTES = 4 << 20
_LONGEST_UPLOAD_MS = 900_000


# As the client's own types would have it, a message may be an error without all of these; Member.poll has seen to that.
_partition: Any = Message.partition
_offset: Any = Message.offset
_timestamp: Any = Message.timestamp
_key: Any = Message.key
_value: Any = Message.value
_bytes_in, _headers_in = itemgetter(KEY, VALUE), itemgetter(HEADERS)


class KafkaFullReader:
    """See full.FullReader. Memory: fetched and not yet polled are at most some 12 MB, whatever the number of partitions."""

    def __init__(self, url: KafkaUrl, group: str, listener: RebalanceListener, clock: Clock = SYSTEM) -> None:
        self.has_log_time = False
        self._listener = listener
        self._member = Member(
            url,
            group,
            on_assigned=self._assigned,
            on_revoked=listener.on_revoked,
            clock=clock,
            **{
                "enable.partition.eof": True,
                "fetch.max.bytes": _FETCH_BYTES,
                "queued.max.messages.kbytes": 8192,
                "max.poll.interval.ms": _LONGEST_UPLOAD_MS,
            },
        )
        self._standing = Standing(self._member, clock)

    def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """See full.FullReader."""
        with failures("read"):
            messages = self._member.poll(max_records, timeout_seconds)
        if messages:
            self.has_log_time = _timestamp(messages[-1])[0] == TIMESTAMP_LOG_APPEND_TIME
        return for_a_backup(self._member.topic, messages)

    def claim(self, claims: Mapping[int, Claim]) -> bool:
        """See full.FullReader."""
        topic = self._member.topic
        return self._member.commit([noted(topic, partition, claim.start, _note_of(claim)) for partition, claim in claims.items()])

    def rewind(self, partition: int, offset: int) -> None:
        """See full.FullReader."""
        with failures("read"):
            self._member.rewind(partition, offset)

    def begin_anew(self, partition: int) -> None:
        """See full.FullReader."""
        self._member.begin_anew([partition])

    def read_up_to(self, partition: int) -> int:
        """See full.FullReader."""
        return self._member.ends.get(partition, 0)

    def identity(self) -> str:
        """See full.FullReader."""
        with self._member.explaining():
            return identity_of(self._member.admin, self._member.topic)

    def bounds(self, partition: int) -> tuple[int, int]:
        """See full.FullReader."""
        with self._member.explaining(), failures("read"):
            return bounds(self._member.consumer, self._member.topic, partition)

    def firsts(self, partitions: Iterable[int]) -> dict[int, int]:
        """See full.FullReader."""
        with failures("read"):
            return firsts(self._member.admin, self._member.topic, partitions)

    def left_from(self, partition: int, start: int, end: int) -> int:
        """See full.FullReader. What is missing behind the first record is not gone: compaction, or markers of transactions."""
        return max(start, min(self.bounds(partition)[0], end))

    def is_whole(self) -> bool:
        """See full.FullReader."""
        with self._member.explaining(), failures("read"):
            return not partitions_of(self._member.admin, self._member.topic, TIMEOUT_SECONDS).leaderless

    def keep_alive(self) -> None:
        """See full.FullReader."""
        self._member.keep_alive()

    def caught_up(self) -> bool:
        """See full.FullReader."""
        return self._standing.caught_up(self.identity(), Applied())

    def close(self) -> None:
        """See full.FullReader."""
        self._member.close()

    def _assigned(self, positions: list[TopicPartition]) -> None:
        """Raises Unavailable: nothing may be read before it is known what is claimed."""
        with self._member.explaining(), failures("read"):
            committed = self._member.committed([position.partition for position in positions])
        claims = {position.partition: _claim_of(position) for position in committed}
        for position in positions:
            if position.offset < 0:  # else it is known since a call that then failed
                position.offset = self._listener.on_assigned(position.partition, claims.get(position.partition))


def _claim_of(position: TopicPartition) -> Claim | None:
    note = note_of(position)
    if position.offset < 0:
        return None
    return Claim(note.topic_id, position.offset, note.end, note.none_from, note.listing)


def _note_of(claim: Claim) -> Note:
    return Note(claim.identity, claim.end, none_from=claim.none_from, listing=claim.listing)


def full_records_of(messages: Sequence[Message]) -> dict[int, list[FullRecord]]:
    """Messages as records of each partition. Column by column: a loop over the messages takes twice as long."""
    partitions = [*map(_partition, messages)]
    stamps = [stamp_ms if kind else None for kind, stamp_ms in map(_timestamp, messages)]  # 0: TIMESTAMP_NOT_AVAILABLE
    headers = headers_of(messages)
    records = zip(map(_offset, messages), stamps, map(_key, messages), map(_value, messages), headers, strict=True)
    if partitions and partitions.count(partitions[0]) == len(partitions):
        return {partitions[0]: list(records)}
    of_partition: dict[int, list[FullRecord]] = {}
    for partition, record in zip(partitions, records, strict=True):
        of_partition.setdefault(partition, []).append(record)
    return of_partition


def for_a_backup(topic: str, messages: Sequence[Message]) -> dict[int, list[FullRecord]]:
    """The same without the records that are too large for a backup, each of which is told."""
    found = full_records_of(messages)
    for partition, rows in [*found.items()]:
        if any(map(_headers_in, rows)) or sum(map(len, filter(None, chain.from_iterable(map(_bytes_in, rows))))) > LARGEST_BYTES:
            large = [row for row in rows if bytes_of(row) > LARGEST_BYTES]
            for row in large:
                _tell_too_large(topic, partition, row)
            found[partition] = [row for row in rows if row not in large] if large else rows
    return {partition: rows for partition, rows in found.items() if rows}


def _tell_too_large(topic: str, partition: int, row: FullRecord) -> None:
    _log.error(
        "a record is too large, and is passed over: no backup keeps it",
        topic=topic,
        partition=partition,
        offset=row[OFFSET],
        hint=f"it has over {LARGEST_BYTES:,} bytes unpacked, which no registration has; see who may write this topic",
    )
