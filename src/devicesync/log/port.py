"""The log: durable, ordered per partition, read by any number of named readers.

A log never interprets what it carries. `journal` keeps it in a file, `kafka` in a topic, `memory` in a list.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


Headers = list[tuple[str, bytes | None]]
Row = tuple[int, int | None, bytes | None, bytes | None, Headers | None]
"""A record with everything that its log keeps of it: offset, timestamp in ms, key, value (None: a tombstone), headers."""


class Claim(NamedTuple):
    """What the keepers of a log have agreed on about one partition.

    start: all before it is kept. end: what begins at `start` ends before it; None: not agreed yet.
    identity: of the log that these offsets are about.
    """

    identity: str
    start: int
    end: int | None


class Keeper(Protocol):
    """Who keeps the records of a WholeReader. Told of partitions while it polls or waits."""

    def given(self, partition: int, claim: Claim | None) -> int:
        """The partition is ours now, claimed so by whoever had it before; the offset to read from. Raises Stopped."""
        ...

    def taken(self, partitions: Iterable[int]) -> None:
        """The partitions are another's now: forget what was read of them since the last claim."""
        ...


class WholeReader(Protocol):
    """Reads a log to keep it, in rows. Not for use by several threads at once."""

    def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[Row]]:
        """The next rows of each partition, at most `max_records` in all; as soon as there are any. Raises Unavailable."""
        ...

    def claim(self, claims: Mapping[int, Claim]) -> bool:
        """Agree on these; repeating it is harmless. A reader that lost a partition, knowingly or not, can't claim it.

        False when the log is just being shared out anew: serve it by `keep_alive`, then ask again, of what is still ours.
        Raises Unavailable.
        """
        ...

    def rewind(self, partition: int, offset: int) -> None:
        """Read the partition again from there on. Raises Unavailable."""
        ...

    def passed(self, partition: int) -> int:
        """Up to where the log has nothing to poll, records or not (markers of transactions, blank lines); 0 while not known."""
        ...

    def identity(self) -> str:
        """Of this log: another when it was deleted and made anew, with offsets from 0. Raises Unavailable."""
        ...

    def bounds(self, partition: int) -> tuple[int, int]:
        """The first offset that the log still has, and the one that its next record will have. Raises Unavailable."""
        ...

    def keep_alive(self) -> None:
        """See Reader."""
        ...

    def caught_up(self) -> bool:
        """Whether the claims of all readers of this name begin at the log's end. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back files and connections."""
        ...


class WholeLog(Log, Protocol):
    """A log that can be kept.

    topic: its name, without a place. source: how dead letters name it.
    """

    topic: str
    source: str

    def whole_reader(self, name: str, keeper: Keeper) -> WholeReader:
        """The reader of that name for `keeper`; shares the log's partitions out like `reader`."""
        ...

    def survey(self) -> "Survey":
        """What the log has now. Raises Unavailable."""
        ...

    def rows(self, partition: int, start: int, end: int) -> Iterator[list[Row]]:
        """The rows with start <= offset < end that the log still has, without being a reader. Raises Unavailable."""
        ...


class Sink(Protocol):
    """Takes whole records back, with the same bytes, keys, headers and times."""

    def put(self, partition: int, rows: Sequence[Row]) -> None:
        """Durable, in this order, when it returns. Raises Unavailable; repeating it doubles the records."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class Survey(NamedTuple):
    """The log's identity (see WholeReader), and the bounds of each partition."""

    identity: str
    bounds: dict[int, tuple[int, int]]


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
