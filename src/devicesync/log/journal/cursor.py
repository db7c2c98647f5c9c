"""A place in the journal, from which it is read on."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devicesync.log.journal.bounds import bounds_of
from devicesync.log.journal.files import JournalFiles, naming_failures
from devicesync.log.journal.lock import mark_of
from devicesync.log.journal.segment import Segment
from devicesync.log.journal.times import span_of
from devicesync.log.port import Record


class Cursor:
    """`position`: the number of the next record. Where the journal has dropped that one, reading goes on at its first.

    lost: how many numbers were skipped because another program removed their records.
    """

    def __init__(self, files: JournalFiles, position: int) -> None:
        self._files = files
        self._segment: Segment | None = None
        self._opened: list[Segment] = []  # that one, and meanwhile others of which one takes its place
        self._end: int | None = None  # of the open segment, once it is closed and that is known
        self.position = position
        self.lost = 0
        self.reads_headers = False
        self._identity = files.identity_now()

    def rewind(self, record: int) -> None:
        """Make `record` the next to poll."""
        with self._closing_others():
            self._segment = self._end = None
        self.position = record

    def read(self, max_records: int) -> list[Record]:
        """The next records, at most so many; [] when there are none now. Blank lines are skipped. Raises Unavailable."""
        with naming_failures("read", self._files.active):
            return self._read(max_records)

    def pass_before(self, at_us: int) -> None:
        """Pass by what was taken before that time, up to the first record that was not. Raises Unavailable."""
        with naming_failures("read", self._files.active):
            self._begin()
            while (segment := self._segment) is not None:
                closed = self._is_closed(segment)
                found = segment.pass_before(at_us)
                self.position = segment.record
                if found or not (closed and self._advance(segment)):
                    return

    def close(self) -> None:
        """Close the files; again, it does nothing."""
        with self._closing_others():
            self._segment = None

    def _read(self, max_records: int) -> list[Record]:
        self._begin()
        while (segment := self._segment) is not None:
            closed = self._is_closed(segment)  # asked before reading: then what is read is all there is
            try:
                records = self._durable(segment, self._before_next(segment, segment.read(max_records)))
            except OSError:
                self.rewind(self.position)  # the segment may have passed by what nobody got
                raise
            moved = segment.record > self.position
            self.position = segment.record
            if records or not (moved or (closed and self._advance(segment))):
                return records
        return []

    def _before_next(self, segment: Segment, records: list[Record]) -> list[Record]:
        """Those of the segment's records whose numbers are none of the next segment.

        What another program appends to a closed segment, which it may have open for hours, has no number. While nothing
        tells yet where that ends, the lines of others are waited with.
        """
        if segment.is_at(self._files.active):  # asked after reading: whoever closes it from now on counts what was read
            return records
        closed = self._is_closed(segment)
        end = self._end if closed else max(segment.ours_end(), self.position)
        if end is not None and segment.record > end:
            segment.skip_to(end)
            if closed:
                self._leave_out(end)
        return [record for record in records if record.offset < segment.record]

    def _durable(self, segment: Segment, records: list[Record]) -> list[Record]:
        """Those of the segment's records that no loss of power takes back: else others would get the numbers that were read.

        Those before the mark are durable. Where all lie past it, they are synced first: perhaps nobody has done that.
        """
        mark = mark_of(self._files.lock) or 0
        if segment.record > mark > self.position:
            segment.skip_to(mark)
        elif segment.record > max(mark, self.position):
            segment.sync()
        return [record for record in records if record.offset < segment.record]

    def _is_closed(self, segment: Segment) -> bool:
        """Whether no line with a number comes any more. A segment moves, and after that its end is noted."""
        if self._end is None and not segment.is_at(self._files.active):
            rotating, self._end = self._files.rotating(), self._end_of(segment)  # in this order: it is noted before that is over
            return self._end is not None or rotating is None
        return self._end is not None

    def _end_of(self, segment: Segment) -> int | None:
        """The number after a closed segment's last record. None where nothing tells it: none follows, and its times do not."""
        first, firsts = self._first_of(segment), self._files.closed_firsts()
        span = span_of(self._files.times)
        later = [each for each in [*firsts, *([span.beginning.first] if span else [])] if each > first]
        noted, next_one = segment.end, segment.first + min(later) - first if later else None
        return min((end for end in (noted, next_one) if end is not None), default=None)  # the next one itself may be gone

    def _begin(self) -> None:
        """Open the segment that holds the position, if none is open; where another journal has begun, its first one."""
        if self._segment is None:
            identity = self._files.identity_now()
            if "" not in (identity, self._identity) and identity != self._identity:
                self.position = bounds_of(self._files)[0]
            self._identity = identity
            with self._closing_others():
                self._segment = self._open()

    def _advance(self, segment: Segment) -> bool:
        """Go on with the segment after this one, which is read to its end. Numbers leave a gap where a file was lost."""
        with self._closing_others():
            end = self._first_of(segment) + segment.record - segment.first  # lines that lost their times have other numbers now
            following = self._after(segment)
            if following:  # nothing fails from here on
                self.position = end
                self._pass_over(following.first)
                self._segment, self._end = following, None
                self.position = following.first
        return following is not None

    def _open(self) -> Segment | None:
        """The segment that holds the position, or None while nothing was written or a rotation is under way."""
        active = self._active()
        firsts = self._files.closed_firsts()
        if active and (active.first <= self.position or not firsts):
            return self._at_position(active)
        if not firsts:
            return None
        closed = self._closed(max((first for first in firsts if first <= self.position), default=firsts[0]))
        return self._at_position(closed) if closed else None

    def _first_of(self, segment: Segment) -> int:
        """The number of a segment's first record, as its name tells it now."""
        firsts = self._files.closed_firsts()
        return next((first for first in firsts if segment.is_at(self._files.closed(first))), segment.first)

    def _after(self, segment: Segment) -> Segment | None:
        """The segment after a closed one. Where an empty one is gone, the next has the same first record."""
        active = self._active()  # first, so that none of those before it is missed
        if self._identity != self._files.identity_now():
            return self._of_journal_made_anew(active)
        firsts = [each for each in self._files.closed_firsts() if segment.first <= each]
        closed = [each for each in firsts if not segment.is_at(self._files.closed(each))]
        if active and active.first >= segment.first and not [each for each in closed if each < active.first]:
            return active
        return self._closed(closed[0]) if closed else None

    def _of_journal_made_anew(self, active: Segment | None) -> Segment | None:
        """The first segment, once it is there: all that was here is gone, and another journal has begun. None of it was read."""
        identity, firsts = self._files.identity_now(), self._files.closed_firsts()
        following = self._closed(firsts[0]) if firsts else active
        if following:
            self._identity = identity
        return following

    def _active(self) -> Segment | None:
        """The active segment; None where another program's file stands beside the times of one that was moved."""
        segment = self._segment_at(self._files.active)
        return segment if segment and not self._files.rotating() and segment.is_whole_at(self._files.active) else None

    def _closed(self, first: int) -> Segment | None:
        return self._segment_at(self._files.closed(first), first)

    def _segment_at(self, path: Path, first: int | None = None) -> Segment | None:
        with suppress(FileNotFoundError):
            self._opened.append(Segment(path, first))
            return self._opened[-1]
        return None

    @contextmanager
    def _closing_others(self) -> Iterator[None]:
        """At the end, also where something fails, close all segments but the one that is read then."""
        try:
            yield
        finally:
            for each in self._opened:
                if each is not self._segment:
                    each.close()
            self._opened = [self._segment] if self._segment else []

    def _leave_out(self, end: int) -> None:
        """Another program has appended lines to a closed segment, whose last record is before `end`."""

    def _pass_over(self, first: int) -> None:
        """Count what is missing before this record."""
        self.lost += max(first - self.position, 0)

    def _at_position(self, segment: Segment) -> Segment:
        segment.skip_to(self.position)
        self._pass_over(segment.first)
        self.position = segment.record
        return segment
