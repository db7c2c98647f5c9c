"""A place in the journal, from which it is read on."""

from contextlib import suppress

from devicesync.log.journal.files import Files, count_lines, naming_failures
from devicesync.log.journal.segment import Segment
from devicesync.log.journal.times import Times
from devicesync.log.port import Record


class Cursor:
    """`position`: the number of the next record. Where the journal has dropped that one, reading goes on at its first."""

    def __init__(self, files: Files, position: int) -> None:
        self._files = files
        self._segment: Segment | None = None
        self.position = position

    def rewind(self, record: int) -> None:
        """Make `record` the next to poll."""
        if self._segment:
            self._segment.close()
        self._segment = None
        self.position = record

    def bounds(self) -> tuple[int, int]:
        """The number of the first record that the journal still has, and the one that its next record will have."""
        with naming_failures("read", self._files.active), suppress(FileNotFoundError):
            last = Times.last_in(self._files.times)
            first = next(iter(self._files.closed_firsts()), None)
            end = last.first + count_lines(self._files.active, last.start)
            return Times.first_in(self._files.times) if first is None else first, end
        return 0, 0

    def read(self, max_records: int) -> list[Record]:
        """The next records, at most so many; [] when there are none now. Blank lines are passed by. Raises Unavailable."""
        with naming_failures("read", self._files.active):
            return self._read(max_records)

    def close(self) -> None:
        """Close the files."""
        if self._segment:
            self._segment.close()

    def _read(self, max_records: int) -> list[Record]:
        self._segment = self._segment or self._open()
        while (segment := self._segment) is not None:
            closed = not segment.is_at(self._files.active)  # asked before reading: then what is read is all there is
            records = segment.read(max_records)
            moved = segment.record > self.position
            self.position = segment.record
            if records or not (moved or (closed and self._advance())):
                return records
        return []

    def _advance(self) -> bool:
        following = self._open()
        if following is None or self._segment is None:
            return False
        if following.first == self._segment.first:
            following.close()
            return False
        self._segment.close()
        self._segment = following
        return True

    def _open(self) -> Segment | None:
        """The segment that holds the position, or None while nothing was written or a rotation is under way."""
        with suppress(FileNotFoundError):
            active = Segment(self._files.active)
            if active.first <= self.position:
                active.skip_to(self.position)
                return active
            active.close()
        firsts = self._files.closed_firsts()
        if not firsts:
            return None
        with suppress(FileNotFoundError):
            closed = Segment(self._files.closed(max((first for first in firsts if first <= self.position), default=firsts[0])))
            closed.skip_to(self.position)
            self.position = closed.record
            return closed
        return None
