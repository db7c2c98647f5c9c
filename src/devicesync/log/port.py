"""The log: durable, ordered within each partition, read by any number of named readers.

A log never interprets what it carries. `journal` keeps it in a file, `kafka` in a topic, `memory` in a list. What the backup
asks of a log stands in full.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from devicesync.errors import Unavailable

Headers = list[tuple[str, bytes | None]]


class Record(NamedTuple):
    """One record as a reader gets it.

    value: its bytes. None where the log has a record without a value.
    taken_ms: the time at which the log took it. Versions are guarded against this time.
    logged_ms: the timestamp that the log keeps with the record. None where it keeps none.
    headers: what the log keeps beside the key and the value. None where it keeps none, or where they can't be read.
    read_ms: when the reader got it, where taken_ms comes from its producer's clock. None where it is the log's own.
    """

    value: bytes | None
    partition: int
    offset: int
    taken_ms: int
    logged_ms: int | None
    key: bytes | None = None
    headers: Headers | None = None
    read_ms: int | None = None


class Partitions(NamedTuple):
    """A log's partitions at one moment; their numbers begin at 0.

    leaderless: those that can be neither read nor written, until they have a leader.
    """

    total: int
    leaderless: frozenset[int] = frozenset()


class NoLeader(Unavailable):
    """Some values of an append go to partitions that have no leader. All the others are durable.

    spots: where the former stand among the values. They may be in the log or not. taken_ms: when the log took the others.
    """

    def __init__(self, message: str, hint: str, spots: frozenset[int], taken_ms: int | None) -> None:
        super().__init__(message, hint)
        self.spots = spots
        self.taken_ms = taken_ms


class Lag(NamedTuple):
    """How far the readers of one name are behind.

    records: how many records are not read yet. seconds: the age of the oldest of them. is_read: whether any reader runs now.
    held: how many records no reader gets now: they lie behind a transaction that a producer of a topic has not ended.
    """

    records: int
    seconds: float
    is_read: bool
    held: int = 0


class Reader(Protocol):
    """One named reader. Use it from one thread at a time.

    A reader starts after its last commit. Without a commit it starts at the earliest record. What was polled but not committed
    is delivered again to the next reader of this name, so every record is delivered at least once.

    reads_headers: whether records come with their headers, False at first. Nothing but a broker's own limits bounds headers.
    """

    reads_headers: bool

    @property
    def lost(self) -> int:
        """How many records the log dropped before a reader of this name could poll them.

        Those before the first position that is known of this name do not count: nobody knows whether they were polled.
        """
        ...

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """Return the next records, at most `max_records`, as soon as there are any. Return [] after `timeout_seconds`.

        Raises Unavailable when the log can't be read.
        """
        ...

    def commit(self, but_last: int = 0) -> None:
        """Never deliver again what `poll` has returned so far. Safe to repeat. Raises Unavailable.

        but_last: leave out this many of the last polls that returned records. Their records are still being processed.
        """
        ...

    def keep_alive(self) -> None:
        """Keep the partitions while polled records can't be worked off, for example because a store is down.

        Call it now and then. It never blocks and delivers nothing.
        """
        ...

    def unread(self) -> dict[int, int]:
        """Return how many records lie after the last poll, by each partition of this reader that has any. Raises Unavailable."""
        ...

    def caught_up(self) -> bool:
        """Return whether the readers of this name have together committed every record of the log. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Close files and connections. Commits nothing. A second call does nothing."""
        ...


class Log(Protocol):
    """Takes records, and opens readers. Safe for several threads and processes."""

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> object:
        """Return when every value is durable. Values hold no line feed.

        A log that keeps no keys, or no headers, takes them and drops them: nothing may depend on them.

        Raises Unavailable. Then none, some or all of the values may be in the log. The same call may be repeated: the law
        ignores duplicates. Raises NoLeader where only partitions without a leader are at fault.
        """
        ...

    def partitions(self) -> Partitions:
        """Return the log's partitions. Raises Unavailable."""
        ...

    def partition_of(self, key: bytes, count: int) -> int:
        """Return the partition that a value with this key goes to, of so many."""
        ...

    def taken_ms(self) -> int | None:
        """Return the time in ms at which the log took the last append of this process. Its readers get the same time.

        None where the log can't say.
        """
        ...

    def newest(self, count: int) -> Iterator[Record]:
        """Return the last records of the log, about `count` in all, equally many of each partition.

        They come one by one, because together they may be large. Raises Unavailable, also while they come.
        """
        ...

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        """Return the records of each partition but these, from the first on that the log took at this time (ms) or later.

        They come one by one, the newest `count` of them in all, equally many of each partition. With them come records that no
        reader gets yet, behind an open transaction, and aborted ones.

        seen: the offset of a record that was seen before, of some partitions. Those before it are left out; a log need not look
        for that time among them, so that this takes no longer for a log that has many.

        Raises Unavailable, also while they come.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable unless the log could take records now."""
        ...

    def reader(self, name: str) -> Reader:
        """Return the reader with this name.

        A journal allows one at a time. Kafka allows many and divides the partitions among them.
        """
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


class NumberedReader(Reader, Protocol):
    """A reader of a NumberedLog."""

    @property
    def position(self) -> int:
        """The number of the next record to poll."""
        ...

    def skip(self, count: int) -> None:
        """Skip the next `count` records, as if they had been polled. Raises Unavailable."""
        ...


class NumberedLog(Log, Protocol):
    """A log with one partition. Its records are numbered from 0, in order.

    A number is missing only where another program removed records from the log.
    """

    def append(
        self,
        values: Sequence[bytes],
        keys: Sequence[bytes | None] | None = None,
        headers: Sequence[Headers | None] | None = None,
    ) -> int:
        """Append as Log does. Return the number of the first value; the others follow it."""
        ...

    def end(self) -> int:
        """Return the number that the next record will have."""
        ...

    def committed(self, name: str) -> int:
        """Return the number of the first record that the reader of this name has not committed."""
        ...


class Lines(Protocol):
    """Lines that another service writes, to be copied into a log. Use it from one thread.

    is_at_end: whether the last read found that there was nothing more.
    """

    is_at_end: bool

    def read(self) -> list[bytes]:
        """Return the next whole lines, without their line ends. [] when there are none now. Raises Unavailable."""
        ...

    def commit(self) -> None:
        """Never return again what was read so far. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Close files."""
        ...
