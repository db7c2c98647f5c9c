"""One partition that a backup keeps: its rows on their way into a file."""

import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING

from devicesync.archive.parquet import GROUP_BYTES
from devicesync.log.port import Claim, Row

if TYPE_CHECKING:
    from devicesync.archive.files import ClosedFile, OpenFile

_ROWS_BYTES = 32 << 10

Open = Callable[["Part"], "OpenFile"]
_offset, _headers = itemgetter(0), itemgetter(4)


class Part:
    """From when the partition is given to us, to when it is taken away.

    start: where the file in hand begins. expected: the next offset. agreed_end: where the file has to end, if that has been
    claimed before. claimed: the start that the group knows. bytes: of the records in hand: keys, values and headers.
    waiting: rows that come after the file in hand, once it `is_full`. is_stale: the log of these records is no more.
    """

    def __init__(self, partition: int, generation: int, identity: str, start: int, claim: Claim | None) -> None:
        self.partition = partition
        self.generation = generation
        self.identity = identity
        same = claim is not None and claim.identity == identity and claim.start == start
        self.claimed = start if same else -1
        self.agreed_end: int | None = None
        self.waiting: list[Row] = []
        self.is_stale = False
        self.begin(start)
        self.agreed_end = claim.end if same and claim else None

    def begin(self, start: int) -> None:
        """Begin a new file there."""
        self.start = self.expected = start
        self.agreed_end = None
        self.is_full = False
        self.bytes = 0
        self.is_empty = True
        self.file: OpenFile | None = None
        self.closed: ClosedFile | None = None
        self._rows: list[Row] = []
        self._rows_bytes = self._group_bytes = 0
        self._opened_at = 0.0

    def due_in(self, file_seconds: float) -> float:
        """In how many seconds the file in hand is to be closed for its age; infinite without one."""
        return float("inf") if self.is_empty else self._opened_at + file_seconds - time.monotonic()

    def keep(self, rows: list[Row], file_bytes: int, open_file: Open) -> list[Row]:
        """Add rows, until the file in hand is full; those that are left. Raises OSError.

        Row groups end by the records' bytes from the file's beginning on, however the rows come.
        """
        if self.agreed_end is not None:
            spot = bisect_left(rows, self.agreed_end, key=_offset)
            rows, left = rows[:spot], rows[spot:]
            self._keep(rows, 1 << 62, open_file)
            # Where records were agreed on that the log has lost since, the next file begins instead.
            if self.is_empty:
                self.agreed_end = None
            self.is_full = not self.is_empty and (bool(left) or self.expected == self.agreed_end)
            return left
        return self._keep(rows, file_bytes, open_file)

    def end(self, open_file: Open) -> None:
        """No more rows come into the file in hand. Raises OSError."""
        self._write(open_file)
        if self.file:
            self.file.end_group()

    def finish(self) -> None:
        """Finish the file in hand. Raises OSError."""
        if self.file:
            self.closed = self.file.close(self.start, self.expected, self.bytes)

    def start_again(self) -> None:
        """Drop the file in hand; the same records are to come again."""
        self.discard()
        agreed_end = self.agreed_end
        self.waiting = []
        self.begin(self.start)
        self.agreed_end = agreed_end

    def discard(self) -> None:
        """Drop what is not in its place yet; the log has it."""
        if self.file and not self.closed:
            self.file.discard()

    def _keep(self, rows: list[Row], file_bytes: int, open_file: Open) -> list[Row]:
        ends = list(accumulate(_sizes(rows)))
        begin = before = 0
        while begin < len(rows):
            room = min(GROUP_BYTES - self._group_bytes, file_bytes - self.bytes)
            end = bisect_left(ends, before + room, begin) + 1
            some = rows[begin:end]
            size = ends[begin + len(some) - 1] - before
            self._add(some, size, open_file)
            begin, before = end, before + size
            if self.bytes >= file_bytes:
                self.is_full = True
                return rows[end:]
        return []

    def _add(self, rows: list[Row], size: int, open_file: Open) -> None:
        if self.is_empty:
            self._opened_at = time.monotonic()
            self.is_empty = False
        self.expected = rows[-1][0] + 1
        self._rows += rows
        self._rows_bytes += size
        self._group_bytes += size
        self.bytes += size
        ends_group = self._group_bytes >= GROUP_BYTES
        if ends_group or self._rows_bytes >= _ROWS_BYTES:
            self._write(open_file)
        if ends_group and self.file:
            self.file.end_group()
            self._group_bytes = 0

    def _write(self, open_file: Open) -> None:
        if self._rows:
            self.file = self.file or open_file(self)
            self.file.write(self._rows)
            self._rows, self._rows_bytes = [], 0


def _sizes(rows: list[Row]) -> list[int]:
    sizes = [len(key or b"") + len(value or b"") for _, _, key, value, _ in rows]
    if any(map(_headers, rows)):
        for spot, row in enumerate(rows):
            sizes[spot] += sum(len(name) + len(value or b"") for name, value in row[4] or ())
    return sizes
