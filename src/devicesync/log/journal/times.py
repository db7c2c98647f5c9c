"""When lines were taken: a file of fixed-size entries beside each segment, so that the segment itself stays plain JSON lines.

One entry per group of lines that was appended at once, written before the lines. Where some of them or all never came, the next
entry begins before that one's end, and counts from there. Lines that no entry covers were written by a stranger.
The last one of a closed segment tells where that ends: it has no lines, and the number after the last one (rotation.py).
Entries that contradict the ones before them, or their segment, are damaged, and are skipped.
"""

import os
import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

from devicesync.durable import closing_on_error, open_regular

_ENTRY = struct.Struct("<QQQQ")
ENTRY_BYTES = _ENTRY.size
_READ_BYTES = 1 << 16
_MOST_RECORDS, _MOST_BYTES = 1 << 60, 1 << 42
"""No record's number lies past the one, no byte of a segment past the other."""


class TimeEntry(NamedTuple):
    """A group of lines: the number of its first record, its bytes [start, end) in the segment, and its time in µs."""

    first: int
    start: int
    end: int
    at_us: int

    def pack(self) -> bytes:
        """The entry's bytes."""
        return _ENTRY.pack(*self)

    def may_follow(self, before: "TimeEntry", segment_bytes: int) -> bool:
        """Whether this can be a later entry of the same segment: bytes between them are records, of one byte at least."""
        records, size = self.first - before.first, self.start - before.start
        return 0 <= records <= size and (records > 0) == (size > 0) and self.start <= min(self.end, segment_bytes)

    @property
    def is_beginning(self) -> bool:
        """Whether this can be a segment's first entry."""
        return self.start == self.end == 0

    @property
    def is_end(self) -> bool:
        """Whether it was written when its segment was closed, if it is the last one there."""
        return self.start == self.end > 0


class Times:
    """Reads the entries of one segment, also while they are being appended.

    segment: its open file. first: the segment's first record, where its name tells that: then damaged times do no harm.
    """

    def __init__(self, path: Path, segment: int, first: int | None = None) -> None:
        self._segment = segment
        self._file = open_regular(path, os.O_RDONLY)
        self._entries: list[TimeEntry] = []
        with closing_on_error(self._file):
            beginning = self._next(1)
        if beginning and beginning[0].is_beginning and first in (None, beginning[0].first):
            self._entries = beginning
        elif first is not None:
            self._entries = [TimeEntry(first, 0, 0, 0)]

    def refresh(self) -> None:
        """Read the entries that were added since."""
        entries = self._next(-1)
        size = os.fstat(self._segment).st_size
        for entry in entries if self._entries else ():
            if entry.may_follow(self._entries[-1], size):
                self._entries.append(entry)

    def _next(self, limit: int) -> list[TimeEntry]:
        reads = [os.read(self._file, limit * ENTRY_BYTES)] if limit > 0 else iter(lambda: os.read(self._file, _READ_BYTES), b"")
        data = b"".join(reads)
        whole = len(data) - len(data) % _ENTRY.size
        os.lseek(self._file, whole - len(data), os.SEEK_CUR)  # half an entry is read again: its writer may cut it
        return [TimeEntry(*fields) for fields in _ENTRY.iter_unpack(data[:whole])]

    @property
    def first(self) -> int | None:
        """The number of the segment's first record; None in a file that is still being made, or damaged."""
        return self._entries[0].first if self._entries else None

    @property
    def last(self) -> TimeEntry:
        """The newest entry that was read."""
        return self._entries[-1]

    def before(self, record: int) -> TimeEntry:
        """The newest entry that begins at or before `record`: from its start on lines can be counted.

        The first time, entries before that one are not read: a long segment has many.
        """
        if len(self._entries) == 1:
            self._pass_to(record)
        self.refresh()
        return self._entries[max(bisect_right(self._entries, record, key=lambda entry: entry.first) - 1, 0)]

    def _pass_to(self, record: int) -> None:
        """Begin with the newest entry at or before `record`. Where that one does not fit those before it, pass nothing by."""
        count, size = os.fstat(self._file).st_size // ENTRY_BYTES, os.fstat(self._segment).st_size
        spot = bisect_right(range(count), record, key=lambda each: self._entry(each).first) - 1
        if spot > 0:
            before, entry = self._entry(spot - 1), self._entry(spot)
            if before.may_follow(self._entries[0], size) and entry.may_follow(before, size):
                self._entries = [entry]
                os.lseek(self._file, (spot + 1) * ENTRY_BYTES, os.SEEK_SET)

    def _entry(self, spot: int) -> TimeEntry:
        data = os.pread(self._file, ENTRY_BYTES, spot * ENTRY_BYTES)
        return TimeEntry(*_ENTRY.unpack(data.ljust(ENTRY_BYTES, b"\xff")))  # a file that was cut meanwhile has none there

    def at(self, byte: int) -> TimeEntry | None:
        """The entry that covers the line which begins at `byte`, or None. It ends where the next one begins."""
        spot = bisect_right(self._entries, byte, key=lambda entry: entry.start) - 1
        entry = self._entries[spot] if spot >= 0 else None
        if entry and spot + 1 < len(self._entries):
            entry = entry._replace(end=min(entry.end, self._entries[spot + 1].start))
        return entry if entry and byte < entry.end else None

    def since(self, at_us: int) -> int | None:
        """The number of the first record that was taken at that time or later, or of one before it; None where there is none.

        Of those that no entry which was passed by covers. Lines that no entry covers count as taken now.
        """
        before, covered = self._entries[0], self._entries[0].start
        for entry in self._entries:
            if entry.start > covered:
                return before.first
            if entry.at_us >= at_us and entry.end > entry.start:
                return entry.first
            before, covered = entry, entry.end
        return before.first if covered < os.fstat(self._segment).st_size else None

    def forget_before(self, byte: int) -> None:
        """Drop entries that end at or before `byte`, except the newest: a long segment does not fill the memory."""
        spot = bisect_right(self._entries, byte, key=lambda entry: entry.start) - 1
        del self._entries[: max(spot, 0)]

    def fileno(self) -> int:
        """The open file's descriptor."""
        return self._file

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def last_two(times: int) -> tuple[TimeEntry, TimeEntry] | None:
    """The last two entries of an open file; None where it has fewer."""
    count = os.fstat(times).st_size // ENTRY_BYTES
    data = os.pread(times, 2 * ENTRY_BYTES, max(count - 2, 0) * ENTRY_BYTES)
    if len(data) < 2 * ENTRY_BYTES:
        return None
    before, last = _ENTRY.iter_unpack(data)
    return TimeEntry(*before), TimeEntry(*last)


class Span(NamedTuple):
    """The ends of a segment's times: its beginning, its first group if there is one, and its newest entry."""

    beginning: TimeEntry
    first_group: TimeEntry | None
    last: TimeEntry


def span_of(path: Path) -> Span | None:
    """What those times span; None where there are none, or damaged ones. Raises OSError."""
    try:
        file = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        count = os.fstat(file).st_size // ENTRY_BYTES
        begin = os.pread(file, 2 * ENTRY_BYTES, 0)
        last = os.pread(file, ENTRY_BYTES, max(count - 1, 0) * ENTRY_BYTES)
    finally:
        os.close(file)
    whole = len(begin) - len(begin) % ENTRY_BYTES
    entries = [TimeEntry(*fields) for fields in _ENTRY.iter_unpack(begin[:whole] + last[:ENTRY_BYTES] * (count > 0))]
    if not entries or not entries[0].is_beginning or max(entries[0].first, entries[-1].first) > _MOST_RECORDS:
        return None
    beginning, newest = entries[0], entries[-1]
    if newest.end > _MOST_BYTES or (newest is not beginning and not newest.may_follow(beginning, newest.start)):
        return None
    return Span(beginning, entries[1] if count > 1 else None, newest)
