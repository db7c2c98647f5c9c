"""The backup's side of a log: its records with all that it keeps of them, and who owns which partition."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from devicesync.log.port import Log

Headers = list[tuple[str, bytes | None]]
FullRecord = tuple[int, int | None, bytes | None, bytes | None, Headers | None]
"""A record with everything that its log keeps of it: offset, timestamp in ms, key, value (None: a tombstone), headers."""


class Claim(NamedTuple):
    """What the keepers of a log have agreed on about one partition.

    start: all before it is kept. end: what begins at `start` ends before it; None: not agreed yet.
    identity: of the log that these offsets are about.
    """

    identity: str
    start: int
    end: int | None


class RebalanceListener(Protocol):
    """Who keeps the records of a FullReader. Told of partitions while it polls or waits."""

    def on_assigned(self, partition: int, claim: Claim | None) -> int:
        """The partition is ours now, claimed so by whoever had it before; the offset to read from. Raises Stopped."""
        ...

    def on_revoked(self, partitions: Iterable[int]) -> None:
        """The partitions are another's now: forget what was read of them since the last claim."""
        ...


class FullReader(Protocol):
    """Reads a log for a backup. Not for use by several threads at once."""

    def poll(self, max_records: int, timeout_seconds: float) -> dict[int, list[FullRecord]]:
        """The next records of each partition, at most `max_records` in all; as soon as there are any. Raises Unavailable."""
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

    def read_up_to(self, partition: int) -> int:
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


class Survey(NamedTuple):
    """The log's identity (see FullReader), and the bounds of each partition."""

    identity: str
    bounds: dict[int, tuple[int, int]]


class FullLog(Log, Protocol):
    """A log that can be kept.

    topic: its name, without a place. source: how dead letters name it.
    """

    topic: str
    source: str

    def full_reader(self, name: str, listener: RebalanceListener) -> FullReader:
        """The reader of that name for `listener`; shares the log's partitions out like `reader`."""
        ...

    def survey(self) -> Survey:
        """What the log has now. Raises Unavailable."""
        ...

    def records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        """The records with start <= offset < end that the log still has, without being a reader. Raises Unavailable."""
        ...


class Sink(Protocol):
    """Takes whole records back, with the same bytes, keys, headers and times."""

    def put(self, partition: int, records: Sequence[FullRecord]) -> None:
        """Durable, in this order, when it returns. Raises Unavailable; repeating it doubles the records."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
