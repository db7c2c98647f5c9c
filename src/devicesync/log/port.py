"""The log: durable, ordered per partition, read by any number of named readers.

A log never interprets what it carries. `journal` keeps it in a file, `kafka` in a topic, `memory` in a list.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """One record as a reader gets it.

    value: its bytes; None where the log holds a record without a value.
    taken_ms: when the log took it; versions are guarded against this.
    logged_ms: the timestamp that the log keeps with the record for ever, or None where it keeps none.
    """

    value: bytes | None
    partition: int
    offset: int
    taken_ms: int
    logged_ms: int | None
    key: bytes | None = None


class Lag(NamedTuple):
    """How far the readers of one name are behind: records, the age of the oldest unread one, and whether anybody reads now."""

    records: int
    seconds: float
    is_read: bool


class Reader(Protocol):
    """One named reader. Not for use by several threads at once.

    A reader starts after its last commit, or at the earliest record when it has none. What was polled but not committed
    is delivered again to the reader's next life: delivery is at least once.

    lost: how many records were gone from the log before this reader, or its former life, could poll them.
    """

    lost: int

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """The next records, at most `max_records`; as soon as there are any, [] after `timeout_seconds`.

        Raises Unavailable when the log can't be read.
        """
        ...

    def commit(self) -> None:
        """Never deliver again what poll has returned so far. Raises Unavailable; repeating it is harmless."""
        ...

    def keep_alive(self) -> None:
        """To be called now and then while what was polled can't be worked off yet. Never blocks, delivers nothing."""
        ...

    def lag(self) -> int:
        """How many records lie after the last poll, of those that this reader is given. Raises Unavailable."""
        ...

    def caught_up(self) -> bool:
        """Whether all readers of this name have together committed everything in the log. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back files and connections, without a commit."""
        ...


class Log(Protocol):
    """The writer's side, and the way to readers. Safe for several threads and processes."""

    def append(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> object:
        """Returns when every value is durable. Values hold no line feed.

        Raises Unavailable: then none, some or all of the values may be in the log, and repeating the call is harmless
        to profiles (the law ignores duplicates).
        """
        ...

    def taken_ms(self) -> int | None:
        """When the log took what this process appended last, by its own clock; None where that is this machine's clock."""
        ...

    def newest(self, count: int) -> list[Record]:
        """The log's last records, about `count`, of all its partitions alike. Raises Unavailable."""
        ...

    def check(self) -> None:
        """Raise Unavailable unless it could take records now."""
        ...

    def reader(self, name: str) -> Reader:
        """The reader of that name; at most one may be in use at a time, where the log does not share its partitions out."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...


class NumberedReader(Reader, Protocol):
    """A reader of a log with one partition, whose records count from 0 without gaps."""

    @property
    def position(self) -> int:
        """The number of the next record to poll."""
        ...

    def skip(self, count: int) -> None:
        """Pass by the next `count` records, as if they had been polled. Raises Unavailable."""
        ...


class NumberedLog(Log, Protocol):
    """A log with one partition, whose records count from 0 without gaps."""

    def append(self, values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> int:
        """See Log; the number of the first of the values, which are consecutive."""
        ...

    def end(self) -> int:
        """The number that the next record will have."""
        ...

    def committed(self, name: str) -> int:
        """The number of the first record that the reader of that name has not committed."""
        ...


class Lines(Protocol):
    """Lines that another service writes, to be taken into a log."""

    def read(self) -> list[bytes]:
        """The next whole lines, without their ends; [] when there are none now. Raises Unavailable."""
        ...

    def commit(self) -> None:
        """Never return again what was read so far. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back files."""
        ...
