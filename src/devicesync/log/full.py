"""The backup's side of a log: records with everything that the log keeps of them, and claims of partitions.

A backup must put each record into exactly one file, whatever crashes and whichever process owns a partition. So its processes
agree, through the log, where each file begins and ends, before any of them uploads it. Such an agreement is a Claim.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from devicesync.log.port import Headers, Log, Reader

FullRecord = tuple[int, int | None, bytes | None, bytes | None, Headers | None]
"""A record with everything that its log keeps of it: offset, timestamp in ms, key, value (None: a tombstone), headers."""

OFFSET: Final = 0
TIMESTAMP_MS: Final = 1
KEY: Final = 2
VALUE: Final = 3
HEADERS: Final = 4
"""The places in a FullRecord."""

DELETED: Final = "deleted"
"""The identity of a log that is not there."""

LARGEST_BYTES: Final = 60 << 20
"""The largest record, unpacked, that a log gives to a backup. Some KB of a topic can stand for more."""


class Claim(NamedTuple):
    """What the backup processes of a log have agreed on about one partition.

    identity: the identity of the log that these offsets belong to.
    start: every record before this offset is in the backup.
    end: the file that begins at `start` ends before this offset. None until that is decided.
    none_from: from this offset to `start` the log had no record, but such as no reader gets. None where nobody has looked.
    listing: what names the archive's place, and its last range then (ranges.named): where all that is kept. "" of older releases.
    """

    identity: str
    start: int
    end: int | None
    none_from: int | None = None
    listing: str = ""


class RebalanceListener(Protocol):
    """Is told which partitions its FullReader gains, from `poll`, and which it loses, from `poll` and `keep_alive`."""

    def on_assigned(self, partition: int, claim: Claim | None) -> int:
        """The partition belongs to this process now, or begins anew. Return the offset to read from.

        claim: the last claim of the former owner. None where nobody has claimed anything yet.

        Raises Unavailable. Then `poll` raises it too, reads nothing, and the next `poll` calls this again.
        """
        ...

    def on_revoked(self, partitions: Iterable[int]) -> None:
        """These partitions belong to another process now. Forget what was read of them since the last claim."""
        ...


class FullReader(Protocol):
    """Reads a log for a backup. Use it from one thread at a time."""

    def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """Return the next records by partition, at most `max_records` in all, as soon as there are any. Raises Unavailable."""
        ...

    has_log_time: bool
    """Whether the log's own clock has stamped what was polled last; else producers may have, with clocks of their own."""

    def claim(self, claims: Mapping[int, Claim]) -> bool:
        """Record these claims durably. Safe to repeat. A journal records `start` and `listing` only: it has one reader at a time.

        A partition that this reader no longer owns is refused, even if the reader has not noticed yet. Returns False during a
        rebalance: call `keep_alive`, then retry with the partitions still owned. Raises Unavailable.
        """
        ...

    def rewind(self, partition: int, offset: int) -> None:
        """Read the partition again from this offset. Raises Unavailable."""
        ...

    def begin_anew(self, partition: int) -> None:
        """Read nothing of the partition before a later `poll` has asked the listener again where. It is ours as before.

        Where the log has no such partition any more, no poll asks until it has. Raises Unavailable.
        """
        ...

    def read_up_to(self, partition: int) -> int:
        """Return the offset up to which this was read, with markers of transactions and blank lines. 0 until it is known."""
        ...

    def identity(self) -> str:
        """Return the identity of the log, DELETED where there is none. One that was recreated has another. Raises Unavailable."""
        ...

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that the log still has, and the offset that the next record will have. Raises Unavailable."""
        ...

    def firsts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Where each of these with a leader begins; {} of a journal, which keeps what is unclaimed. Raises Unavailable."""
        ...

    def left_from(self, partition: int, start: int, end: int) -> int:
        """Return the offset between these from which on no record is gone from the log, `start` if none is. Raises Unavailable.

        Where nothing was ever read, as at markers of transactions, nothing is gone.
        """
        ...

    def is_whole(self) -> bool:
        """Return whether all partitions can be read now. Raises Unavailable."""
        ...

    def keep_alive(self) -> None:
        """Do as Reader.keep_alive does."""
        ...

    def caught_up(self) -> bool:
        """Return whether the readers of this name have together backed up the whole log. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Close files and connections."""
        ...


class Survey(NamedTuple):
    """What a log has at one moment: its identity, and the bounds of each partition (see FullReader)."""

    identity: str
    bounds: dict[int, tuple[int, int]]

    @property
    def records(self) -> int:
        """How many it has, as far as its offsets tell."""
        return sum(end - first for first, end in self.bounds.values())


class Store(Protocol):
    """Where the records of a log go: a database (see database.port.Database, which says what each of these is)."""

    @property
    def identity(self) -> str:
        """What names this store."""
        ...

    def applied(self, log: str) -> int | None:
        """Up to where it has applied the log with that identity."""
        ...

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        """It has applied these logs up to there."""
        ...


class BoundReader(Reader, Protocol):
    """A reader that knows into which store it is read."""

    def bind(self, store: Store) -> None:
        """What is polled goes into this store: call it before the first poll. Raises Unavailable.

        What was committed for a store of another identity is polled again, and also what a store lacks that keeps positions.
        """
        ...


class FullLog(Log, Protocol):
    """A log that can be backed up.

    topic: its name in a backup. source: its name in dead letters.
    """

    topic: str
    source: str

    def reader(self, name: str) -> BoundReader:
        """See port.Log."""
        ...

    def full_reader(self, name: str, listener: RebalanceListener) -> FullReader:
        """Return the reader with this name, which tells `listener` of its partitions. They are divided as for `reader`."""
        ...

    def survey(self) -> Survey:
        """Return what the log has now. Raises Unavailable."""
        ...

    def records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        """Yield the records with start <= offset < end that the log still has. Needs no reader. Raises Unavailable."""
        ...


class ForwardedReader(Protocol):
    """As port.Reader, with all that the log keeps of its records: for those who pass them on."""

    def poll_full(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """The next records of each partition, at most `max_records` in all; as soon as there are any. Raises Unavailable."""
        ...

    def commit(self) -> None:
        """See port.Reader."""
        ...

    def keep_alive(self) -> None:
        """See port.Reader."""
        ...

    def unread(self) -> dict[int, int]:
        """See port.Reader."""
        ...

    def caught_up(self) -> bool:
        """See port.Reader."""
        ...


class Forward(Protocol):
    """Takes the records of another log."""

    def offer(self, records: Mapping[int, Sequence[FullRecord]]) -> None:
        """Begin to take these. The next `put` gets all that was offered since the last `put`."""
        ...

    def put(self, records: Mapping[int, Sequence[FullRecord]]) -> list[tuple[int, int]]:
        """Durable when it returns, with keys, headers and times, those of one partition in their order.

        Return the partition and offset of each record that is too large to be taken. Raises Unavailable; repeating it
        doubles records.
        """
        ...


class Sink(Protocol):
    """A topic that a backup is restored into. It gets full records: the same bytes, keys, headers and times."""

    def put(self, partition: int, records: Sequence[FullRecord]) -> None:
        """Return when these records are durable, in this order.

        Raises Unavailable. Repeating the call after that may write records twice.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
