"""The backup of one partition: its rows, until they are in files."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from devicesync.archive.ranges import MOST_DAYS
from devicesync.clock import SYSTEM, Clock
from devicesync.jobs.backup.day_file import DayFile, by_day
from devicesync.log.full import OFFSET, Claim, FullRecord
from devicesync.log.record_bytes import bytes_of

if TYPE_CHECKING:
    from devicesync.archive.files import ClosedFile, OpenFile

_ANY = 1 << 62
_ROW_BYTES = 64
"""What a row counts beside its bytes: else empty ones had no end. As columns a row takes some 50 bytes itself."""

_log: Any = structlog.get_logger("devicesync")

Open = Callable[["PartitionBackup"], "OpenFile"]
_offset, _headers = itemgetter(0), itemgetter(4)


class Limits(NamedTuple):
    """When a file is closed: at this many bytes of records, or this many seconds after its first record was read."""

    file_bytes: int
    file_seconds: float


class PartitionBackup:
    """What one process backs up of one partition, from when it is assigned to when it is revoked.

    claim: the group's last one of this log. start: the first offset of the open range. expected: the offset that comes next.
    agreed_end: the offset at which the range must end, if that was claimed before.
    claimed: the start that the group knows. days: the open files, by day. closed: the finished files.
    follows: see Entry.
    listing: what names the last range that the archive has, see Claim.
    waiting: the rows after the open range, when it `is_full`.
    is_stale: the topic that these records came from was deleted or recreated.
    looked_to: the last end of what was read that `looked` was told of.
    polled_to: the last record that was polled. whole_to: up to where nothing that was polled had been lost before.
    """

    def __init__(
        self,
        partition: int,
        generation: int,
        identity: str,
        start: int,
        claim: Claim | None,
        *,
        follows: bool = False,
        listing: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        self.partition = partition
        self.generation = generation
        self.follows = follows
        self.listing = listing
        self._clock = clock
        self.identity = identity
        is_of_this_place = claim is not None and claim.listing in ("", listing)
        same = claim if claim and claim.start == start and is_of_this_place else None
        self.claimed = start if same else -1
        self._none_from, self._none_before = (claim.none_from, claim.start) if claim and claim.none_from is not None else (0, 0)
        self.looked_to = self.polled_to = self.whole_to = 0
        self.agreed_end: int | None = None
        self.waiting: list[FullRecord] = []
        self.is_stale = False
        self.begin(start)
        self.agreed_end = same.end if same else None

    def begin(self, start: int) -> None:
        """Begin a new range at this offset."""
        self.start = self.expected = start
        self.agreed_end = None
        self.is_full = False
        self.days: dict[int, DayFile] = {}
        self.closed: list[ClosedFile] = []
        self._opened_at = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether the open range has no record."""
        return not self.days

    @property
    def bytes(self) -> int:
        """What the rows of the open range count, see sizes_of."""
        return sum(file.bytes for file in self.days.values())

    @property
    def open_files(self) -> int:
        """How many files it has open."""
        return sum(file.file is not None for file in self.days.values())

    def begin_next(self) -> None:
        """Begin the next range: the open one is in the archive."""
        self.begin(self.expected)
        self.follows = True

    def none_before(self, offset: int) -> int:
        """Up to where the log is known to have had no record from this offset on."""
        return max(offset, self._none_before) if self._none_from <= offset else offset

    def looked(self, end: int, first: int) -> None:
        """Reading has come to `end`, and the log still began at `first` then. If nothing is lost, no record lies in between."""
        self.looked_to = end
        if first > self.none_before(self.expected):
            return
        if not self._none_from <= self.expected <= self._none_before:
            self._none_from = self.expected
        self._none_before = end

    def claim_from(self, offset: int) -> Claim:
        """All before this offset is in the backup, and from there on the log has no record, as far as is known."""
        before = self.none_before(offset)
        return Claim(self.identity, before, None, offset if before > offset else None, self.listing)

    def skip_to(self, first: int) -> None:
        """Begin at this offset, where the log begins now. The earlier records are lost, unless there were none.

        A claimed range that ends later keeps its bounds: the process that claimed it may still upload the whole file.
        """
        if self.expected >= first:
            return
        known = self.none_before(self.expected)
        if known >= first:
            self.expected = first
            return
        _log.error(
            "records were gone from the log before they were kept",
            partition=self.partition,
            offset=known,
            next_offset=first,
        )
        if self.agreed_end is not None and first < self.agreed_end:
            self.expected = first
        else:
            self.begin(first)

    def due_in(self, file_seconds: float) -> float:
        """Return in how many seconds the open range is old enough to be closed; infinity without records."""
        return float("inf") if self.is_empty else self._opened_at + file_seconds - self._clock.monotonic()

    def keep(self, rows: list[FullRecord], file_bytes: int, open_file: Open) -> list[FullRecord]:
        """Add rows until the open range is full. Return the rows that are left. Raises OSError."""
        if self.agreed_end is not None:
            spot = bisect_left(rows, self.agreed_end, key=_offset)
            rows, left = rows[:spot], rows[spot:]
            self._keep(rows, _ANY, _ANY, open_file)
            if self.is_empty:  # the log has lost since all that was agreed on: the next range begins
                self.begin(self.agreed_end)
                return left
            self.is_full = not self.is_empty and (bool(left) or self.expected == self.agreed_end)
            return left
        return self._keep(rows, file_bytes, MOST_DAYS, open_file)

    def end(self) -> None:
        """End the open range: no more rows come. Raises OSError."""
        for file in self.days.values():
            file.end()

    def finish(self) -> None:
        """Finish the open files. Raises OSError."""
        files = [file.finish(self.start, self.expected, follows=self.follows) for file in self.days.values()]
        self.closed = [closed for of_day in files for closed in of_day]

    def start_again(self) -> None:
        """Drop the open range. The same records come again."""
        self.discard()
        agreed_end = self.agreed_end
        self.waiting = []
        self.polled_to = self.whole_to = 0
        self.begin(self.start)
        self.agreed_end = agreed_end

    def discard(self) -> None:
        """Drop what is not in the archive yet. The log still has it."""
        for file in self.days.values() if not self.closed else ():
            file.discard()

    def _keep(self, rows: list[FullRecord], most_bytes: int, most_days: int, open_file: Open) -> list[FullRecord]:
        kept = 0
        for day, run in by_day(rows):
            if day not in self.days:
                if len(self.days) == most_days:
                    self.is_full = True
                    break
                self._opened_at = self._opened_at if self.days else self._clock.monotonic()
                self.days[day] = DayFile(lambda: open_file(self))
            kept += self._keep_day(self.days[day], run, most_bytes)
            if self.is_full:
                break
        return rows[kept:]

    def _keep_day(self, file: DayFile, rows: list[FullRecord], most_bytes: int) -> int:
        """Keep rows until the range is full. Return how many were kept."""
        ends = list(accumulate(sizes_of(rows)))
        begin = before = 0
        left = most_bytes - self.bytes
        while begin < len(rows) and left > 0:
            end = bisect_left(ends, before + min(file.room, left), begin) + 1
            some = rows[begin:end]
            size = ends[begin + len(some) - 1] - before
            self.expected = some[-1][OFFSET] + 1
            file.add(some, size)
            begin, before, left = begin + len(some), before + size, left - size
        self.is_full = left <= 0
        return begin


def begun(claim: Claim | None, first: int) -> int:
    """Where a partition's first range begins: at the log's `first` offset, or at this log's claim from when it had more."""
    if claim and claim.end is not None:
        return min(claim.start, first)
    return first


def sizes_of(rows: list[FullRecord]) -> list[int]:
    """Return what each row counts: what its key, value and headers take in memory, 64 more, and 72 more for each header.

    About so much a reader needs for it besides, so a range of this size can be restored in a bounded memory.
    """
    sizes = [_ROW_BYTES + len(key or b"") + len(value or b"") for _, _, key, value, _ in rows]
    if any(map(_headers, rows)):
        for spot, row in enumerate(rows):
            sizes[spot] = _ROW_BYTES + bytes_of(row)
    return sizes


def runs_of(rows: list[FullRecord], expected: int) -> Iterator[list[FullRecord]]:
    """Cut the rows where the offsets have a gap."""
    if rows and rows[0][OFFSET] == expected and rows[-1][OFFSET] == expected + len(rows) - 1:
        yield rows
        return
    begin = 0
    for spot in range(1, len(rows) + 1):
        if spot == len(rows) or rows[spot][OFFSET] != rows[spot - 1][OFFSET] + 1:
            yield rows[begin:spot]
            begin = spot
