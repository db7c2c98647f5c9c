"""The updater's side of a topic. Nothing here coordinates anything: the law bears every duplicate."""

from contextlib import suppress
from itertools import repeat
from typing import Any

import structlog
from confluent_kafka import (
    Message,
    TopicPartition,
)

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.log.full import DELETED, FullRecord, Store
from devicesync.log.kafka.applied import LACKS_HINT, Applied
from devicesync.log.kafka.bounds import firsts
from devicesync.log.kafka.full import full_records_of
from devicesync.log.kafka.gaps import Gaps
from devicesync.log.kafka.headers import headers_of
from devicesync.log.kafka.identity import identity_of, noted
from devicesync.log.kafka.member import Member
from devicesync.log.kafka.records import records_of
from devicesync.log.kafka.standing import Standing
from devicesync.log.kafka.url import HINT, KafkaUrl, failures
from devicesync.log.port import Record

_POLL_SECONDS = 0.1
_COMMIT_SECONDS = 0.1
_IDENTITY_SECONDS = 10.0
_SETTINGS: dict[str, Any] = {"enable.partition.eof": True}
_log: Any = structlog.get_logger("devicesync")


class KafkaReader:
    """See port.Reader. Shares the topic's partitions with the other members of its group.

    A partition that is taken away drops what was polled of it and not committed: the next owner reads it again. So a
    commit never covers a partition that this reader has lost, and a reader that wakes up after its time does no harm.

    Its positions are of one topic: `_identities` has the id of each partition's. One of a topic of that name that was deleted
    since counts for nothing, whether it was committed or is this reader's own. The topic is then read from its beginning.
    """

    def __init__(self, url: KafkaUrl, group: str, clock: Clock = SYSTEM) -> None:
        self.reads_headers = False
        self._clock = clock
        self._applied = Applied()
        self._polls: list[dict[int, int]] = []
        self._due: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._identities: dict[int, str] = {}
        self._made_anew = ""  # a topic that this reader saw come: what is gone from its beginning was read by nobody
        self._committed_at = self._identified_at = 0.0
        self._is_closed = False
        self._member = Member(url, group, on_assigned=self._assigned, on_revoked=self._forget, clock=clock, **_SETTINGS)
        self._standing = Standing(self._member, clock)
        self._gaps = Gaps(lambda: self._member.admin, url.topic, clock)

    @property
    def lost(self) -> int:
        """See port.Reader."""
        return self._gaps.lost

    def bind(self, store: Store) -> None:
        """See full.BoundReader."""
        self._applied = Applied(store)

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """See port.Reader."""
        messages = self._messages(max_records, timeout_seconds)
        return records_of(messages, headers_of(messages) if self.reads_headers else repeat(None), self._clock)

    def poll_full(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """See full.ForwardedReader."""
        return full_records_of(self._messages(max_records, timeout_seconds))

    def _messages(self, max_records: int, timeout_seconds: float) -> list[Message]:
        deadline = self._clock.monotonic() + timeout_seconds
        with failures("read"):
            while True:
                wait_seconds = min(_POLL_SECONDS, max(deadline - self._clock.monotonic(), 0))
                messages = self._member.poll(max_records, wait_seconds)
                polled: dict[int, int] = {}
                for message in messages:
                    partition, offset = int(message.partition() or 0), int(message.offset() or 0)
                    self._gaps.found(partition, self._next.get(partition, offset), offset)
                    polled[partition] = self._next[partition] = offset + 1
                self._gaps.look()
                if messages:
                    self._polls.append(polled)
                else:
                    self._pass_markers()
                    self._commit_due()
                if messages or self._clock.monotonic() >= deadline:
                    return messages

    def keep_alive(self) -> None:
        """See port.Reader."""
        self._member.keep_alive()

    def commit(self, but_last: int = 0) -> None:
        """See port.Reader. It is done every 100 ms, and when there is nothing to poll: a crash repeats the rest."""
        done = len(self._polls) - but_last
        for polled in self._polls[:done]:
            self._due |= polled
        self._polls = self._polls[done:]
        if self._clock.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            self._commit_due()

    def unread(self) -> dict[int, int]:
        """See port.Reader."""
        return self._standing.unread()

    def caught_up(self) -> bool:
        """Whether the whole group has committed everything that is in the topic now, and the store has it."""
        return not self._due and self._standing.caught_up(self._identity(), self._applied)

    def close(self) -> None:
        """See port.Reader; leaves the group, so that the others take over at once. Again, it does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if not self._member.is_lost():
                with suppress(Unavailable):
                    self._commit_due()
                self._gaps.look(is_last=True)
        finally:
            self._member.close()  # also where the store is another file by now

    def _pass_markers(self) -> None:
        """What lies between the last record and the end is done with: markers of transactions, and what retention dropped."""
        passed = {
            partition: end
            for partition, end in self._member.ends.items()
            if not any(partition in polled for polled in self._polls)
        }
        gaps = [(partition, self._next.get(partition, end), end) for partition, end in passed.items()]
        for partition, *_ in self._gaps.look_into(gaps):
            del passed[partition]  # it has no leader now: what is gone of it is found out when it has one
        for partition, end in passed.items():
            if end > self._next.get(partition, 0):
                self._due[partition] = self._next[partition] = end
            del self._member.ends[partition]

    def _commit_due(self) -> None:
        # What the group does not take now stays due; it then tells us what was taken away.
        self._look_for_recreated()
        # Those of no identity are of a topic that is deleted, or was when it was asked for.
        due = {partition: offset for partition, offset in self._due.items() if partition in self._identities}
        self._applied.keep(due, self._identities)
        offsets = [
            noted(self._member.topic, partition, offset, self._applied.note(self._identities[partition]))
            for partition, offset in due.items()
        ]
        if offsets and self._member.commit(offsets):
            self._due = {partition: offset for partition, offset in self._due.items() if partition not in self._identities}
            self._committed_at = self._clock.monotonic()

    def _assigned(self, positions: list[TopicPartition]) -> None:
        """Raises Unavailable: nothing may be read before it is known of which topic the commits are."""
        with self._member.explaining(), failures("read"):
            identity = self._identity()  # asked first: what is committed later is of this topic, or of one after it
            committed = self._member.committed(position.partition for position in positions)
            new = [each.partition for each in committed if each.offset < 0 and identity != self._made_anew]
            unknown = firsts(self._member.admin, self._member.topic, new)
            if len(unknown) < len(new):
                raise Unavailable("can't read from Kafka: a partition has just lost its leader", HINT)
            begins = [self._applied.begin(each, identity) or 0 for each in committed]
        lacking = self._lacking(committed, identity)
        for position, known in zip(positions, begins, strict=True):
            partition = position.partition
            begin = unknown.get(partition, known)
            if partition in unknown:
                _tell_of_no_position(partition, begin)
            if partition in unknown or partition in lacking or self._applied.begins_to_keep:
                # Committed soon: then the group has a position, and all see what is lacking, also where nothing is left to read,
                # and a file that gets another identity has it in the commits of all partitions.
                self._due[partition] = begin
            position.offset = self._next[partition] = begin  # what is gone from there is looked for, whatever is committed
            self._identities[partition] = identity

    def _lacking(self, committed: list[TopicPartition], identity: str) -> set[int]:
        """The partitions of which the store lacks something. Log a warning of them."""
        found = self._applied.lacking(committed, identity)
        for why, partitions in found.items():
            _log.warning(why, partitions=sorted(partitions), hint=LACKS_HINT)
        return set().union(*found.values())

    def _look_for_recreated(self) -> None:
        """Now and then: read a topic that was made anew from its beginning. Raises Unavailable."""
        is_known = all(partition in self._identities for partition in self._due)
        if is_known and self._clock.monotonic() - self._identified_at < _IDENTITY_SECONDS:
            return
        identity = self._identity()
        assigned = {position.partition for position in self._member.consumer.assignment()}
        stale = {partition for partition in assigned if self._identities.get(partition) != identity}
        if stale and identity != DELETED:
            self._member.begin_anew(stale)
            _log.warning("the topic was deleted and made anew: it is read from its beginning", partitions=sorted(stale))
            self._forget(stale)
            self._gaps.forget(stale)
            self._made_anew = identity
        self._identified_at = self._clock.monotonic()

    def _identity(self) -> str:
        return identity_of(self._member.admin, self._member.topic)

    def _forget(self, gone: set[int]) -> None:
        self._due, self._next, *self._polls = (
            {partition: offset for partition, offset in offsets.items() if partition not in gone}
            for offsets in (self._due, self._next, *self._polls)
        )
        for partition in gone:
            self._identities.pop(partition, None)


def _tell_of_no_position(partition: int, first: int) -> None:
    """Say that records may be lost. They are not counted: a new group has no position either, and has lost nothing."""
    if first:
        _log.warning(
            "the group has no position in the log, and the log's first records are gone: nobody knows whether they were applied",
            partition=partition,
            offset=0,
            next_offset=first,
            hint="if the group is new, all is well; else a backup has what it missed: `devicesync restore --to-stores`",
        )
