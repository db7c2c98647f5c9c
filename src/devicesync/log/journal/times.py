"""When lines were taken: a file of fixed-size entries beside each segment, so that the segment itself stays plain JSON lines.

One entry per group of lines that was appended at once, written before the lines. An entry whose lines never came is
followed by one with the same start, which counts instead. Lines that no entry covers were written by a stranger.
"""

import struct
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

_ENTRY = struct.Struct("<QQQQ")
ENTRY_BYTES = _ENTRY.size


class Taken(NamedTuple):
    """A group of lines: the number of its first record, its bytes [start, end) in the segment, and its time in µs."""

    first: int
    start: int
    end: int
    at_us: int

    def pack(self) -> bytes:
        """The entry's bytes."""
        return _ENTRY.pack(*self)


class Times:
    """Reads the entries of one segment, also while they are being appended."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._entries: list[Taken] = []
        self._rest = b""
        self.refresh()

    def refresh(self) -> None:
        """Read the entries that were added since."""
        data = self._rest + self._file.readall()
        whole = len(data) - len(data) % _ENTRY.size
        self._entries += [Taken(*fields) for fields in _ENTRY.iter_unpack(data[:whole])]
        self._rest = data[whole:]

    @property
    def first(self) -> int | None:
        """The number of the segment's first record; None in a file that is still being made."""
        return self._entries[0].first if self._entries else None

    def before(self, record: int) -> Taken:
        """The newest entry that begins at or before `record`: from its start on lines can be counted."""
        return self._entries[max(bisect_right(self._entries, record, key=lambda entry: entry.first) - 1, 0)]

    def at(self, byte: int) -> Taken | None:
        """The entry that covers the line which begins at `byte`, or None."""
        spot = bisect_right(self._entries, byte, key=lambda entry: entry.start) - 1
        entry = self._entries[spot] if spot >= 0 else None
        return entry if entry and byte < entry.end else None

    def forget_before(self, byte: int) -> None:
        """Drop entries that end at or before `byte`, but for the newest: a long segment does not fill the memory."""
        spot = bisect_right(self._entries, byte, key=lambda entry: entry.start) - 1
        del self._entries[: max(spot, 0)]

    def fileno(self) -> int:
        """The open file's descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @staticmethod
    def first_in(path: Path) -> int:
        """The number of the segment's first record."""
        with path.open("rb") as file:
            return Taken(*_ENTRY.unpack(file.read(ENTRY_BYTES))).first

    @staticmethod
    def last_in(path: Path) -> Taken:
        """The newest entry."""
        with path.open("rb") as file:
            entries = path.stat().st_size // ENTRY_BYTES
            file.seek((entries - 1) * ENTRY_BYTES)
            return Taken(*_ENTRY.unpack(file.read(ENTRY_BYTES)))
