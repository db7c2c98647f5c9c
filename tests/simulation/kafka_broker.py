"""A Kafka: a topic's partitions, and a group that shares them out cooperatively and refuses whom it has shut out.

What it does where a topic is deleted and made anew was seen on a Kafka 4: nobody's partitions are revoked, a consumer goes on at its
offset, and begins at the first record only where the new topic ends before that; and a commit names the topic by its name. Members keep
partitions that the new topic lacks, until the next rebalance.
"""

import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, KafkaException


class Kept(NamedTuple):
    """A record as a partition keeps it. stamp: its kind, and ms. is_read: readers get it, which is no marker of a transaction."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Any
    stamp: tuple[int, int]
    is_read: bool = True


class Partition:
    """Records, from the first that retention has left on."""

    def __init__(self) -> None:
        self.low = 0
        self.records: list[Kept] = []

    @property
    def high(self) -> int:
        """The offset of the next record."""
        return self.low + len(self.records)

    def mark(self) -> None:
        """A transaction ends here."""
        self.records.append(Kept(self.high, None, None, None, (TIMESTAMP_LOG_APPEND_TIME, 0), is_read=False))

    def forget(self, count: int) -> None:
        """Retention drops the oldest ones."""
        count = min(count, len(self.records))
        self.low += count
        del self.records[:count]


class Group:
    """A consumer group. A member learns of a new generation when it polls; until then it may not commit.

    owners: whose each partition is; free ones are left out. offsets: per partition what was committed, and its metadata.
    """

    def __init__(self, topic: "Broker") -> None:
        self.generation = self.commits = 0
        self.members: dict[int, set[int]] = {}
        self.owners: dict[int, int] = {}
        self.offsets: dict[int, tuple[int, str]] = {}
        self._topic = topic
        self._joined = 0

    def join(self) -> int:
        """A new member; its number."""
        self._joined += 1
        self.members[self._joined] = set()
        self.share_out()
        return self._joined

    def remove(self, member: int) -> None:
        """It has left, or was not heard of for too long."""
        if self.members.pop(member, None) is not None:
            self.release([partition for partition, owner in self.owners.items() if owner == member])
            self.share_out()

    def release(self, partitions: Sequence[int]) -> None:
        """Their owner has given these up: a rebalance follows."""
        for partition in partitions:
            del self.owners[partition]
        self.generation += 1

    def take(self, member: int) -> set[int]:
        """The free partitions that this member is to have, which are its now."""
        given = {partition for partition in self.members[member] if partition not in self.owners}
        self.owners |= dict.fromkeys(given, member)
        return given

    def commit(self, member: int | None, generation: int, offsets: dict[int, tuple[int, str]]) -> int | None:
        """The code of an error, or None. Whose the partitions are nobody asks: as with Kafka, members alone see to that."""
        if member not in self.members and (self.members or member is not None):  # who is no member may, where nobody is one
            return KafkaError.UNKNOWN_MEMBER_ID
        if self.members and generation != self.generation:
            return KafkaError.ILLEGAL_GENERATION
        self.offsets |= offsets
        self.commits += 1
        return None

    def share_out(self) -> None:
        """As evenly as can be, and with as few changes."""
        self.generation += 1
        if not self.members:
            return
        partitions = range(len(self._topic.partitions))
        most = -(-len(partitions) // len(self.members))
        for member in self.members:
            kept = sorted(part for part, owner in self.owners.items() if owner == member and part in partitions)
            self.members[member] = {*kept[:most]}
        rest = [part for part in partitions if not any(part in wanted for wanted in self.members.values())]
        for partition in rest:
            min(self.members.values(), key=len).add(partition)


class Broker:
    """One topic. `now_ms` is its clock; has_append_time: it stamps records itself, else their producers do.

    wait: lets so many seconds pass, for a consumer that finds nothing. topic_id: which of the topic's lives this is.
    has_lives: the topic may be deleted, for a while (is_gone) or to be made anew at once; then whoever asks for its id waits for a turn.
    is_silent: it answers no question. members: how many consumers were made to read for a job.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        now_ms: Callable[[], int],
        *,
        wait: Callable[[float], None] = time.sleep,
        has_append_time: bool = True,
        has_lives: bool = False,
    ) -> None:
        self.topic = topic
        self.topic_id = 1
        self.has_lives = has_lives
        self.is_gone = False
        self.partitions = [Partition() for _ in range(partitions)]
        self.groups: dict[str, Group] = {}
        self.appended = self.members = 0
        self.is_silent = False
        self.now_ms = now_ms
        self.wait = wait
        self.has_append_time = has_append_time
        self._keyless = 0

    def answer(self, timeout: float) -> None:
        """To be called before each answer to a question. Raises KafkaException where nothing came within the time-out."""
        if self.is_silent:
            self.wait(timeout)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def group(self, name: str) -> Group:
        """The group of that name."""
        return self.groups.setdefault(name, Group(self))

    def append(self, key: bytes | None, value: bytes | None, headers: Any, partition: int, created_ms: int) -> int:
        """Keep a record; the ms that it is stamped with."""
        if partition < 0:
            self._keyless += key is None
            partition = (zlib.crc32(key) if key is not None else self._keyless) % len(self.partitions)
        at = self.partitions[partition]
        stamp = (TIMESTAMP_LOG_APPEND_TIME, self.now_ms()) if self.has_append_time else (TIMESTAMP_CREATE_TIME, created_ms)
        self.appended += 1
        at.records.append(Kept(at.high, key, value, headers, stamp))
        return stamp[1]

    def has(self, partition: int) -> bool:
        """Whether the topic is there, with this partition."""
        return not self.is_gone and partition < len(self.partitions)

    def delete(self, *, keeps_commits: bool) -> None:
        """The topic is deleted. Its groups' commits go with it, sooner or later: whoever commits once more may bring them back."""
        self.topic_id += 1
        self.is_gone = True
        self.partitions = [Partition() for _ in self.partitions]
        for group in self.groups.values() if not keeps_commits else ():
            group.offsets.clear()

    def make(self, partitions: int = 0) -> None:
        """It is there again, with as many partitions, or so many. Of more the groups' members learn."""
        before = len(self.partitions)
        if self.is_gone and partitions:
            self.partitions = [Partition() for _ in range(partitions)]
        self.is_gone = False
        for group in self.groups.values() if len(self.partitions) > before else ():
            group.share_out()
