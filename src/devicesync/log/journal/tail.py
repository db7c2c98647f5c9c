"""The journal's end: its active segment, open for writing. All of it is called under the journal's lock (appender.py)."""

import errno
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import structlog

from devicesync.clock import SYSTEM
from devicesync.durable import open_regular, replace, sync_directory, write_all
from devicesync.log.journal.files import JournalFiles, age_seconds, count_lines, same_file, times_of
from devicesync.log.journal.lock import JournalLock
from devicesync.log.journal.missing_lines import is_cut, is_edited, least_bytes
from devicesync.log.journal.rotation import finish_rotation, mend_times, set_aside
from devicesync.log.journal.times import TimeEntry, span_of
from devicesync.log.journal.torn_tails import begins_a_line, cut_torn_tails

_log: Any = structlog.get_logger("devicesync")


class Limits(NamedTuple):
    """When a segment is closed, by its bytes or the age of its first record (0: never), and how long it is kept then."""

    segment_bytes: int
    segment_seconds: float
    retention_seconds: float


class Tail:
    """`next`: the number of the next record. `taken_ms`: when the last write's records were taken, None before the first.

    `lost`: is called when another program took the end of the journal away.
    """

    def __init__(self, files: JournalFiles, limits: Limits, lock: JournalLock, lost: Callable[[], None]) -> None:
        self.next = 0
        self.taken_ms: int | None = None
        self._files = files
        self._limits = limits
        self._lock = lock
        self._lost = lost
        self._data = self._times = self._end = -1
        self._written = (0, 0)  # how the times were when they were last written or counted
        self._began_us = 0
        self._most_marked = 0  # the lock's file may be removed
        self._identity = ""

    def catch_up(self) -> None:
        """Open or reopen the active segment, and count what others have appended to it. Raises OSError."""
        if self._data < 0:
            self._open()
        elif not self._is_in_place():
            self._reopen()
        if os.fstat(self._data).st_size != self._end or self._stat_of_times() != self._written:
            self._count()
        if self.next < self._mark():
            self._reopen()
            self._count()
        elif self.next != (mark := self._lock.mark()):  # lines of another program, or the lock's file was removed
            os.fdatasync(self._data)  # what lies before the mark is durable
            self._keep_mark(self.next, durable=mark is None)

    def write(self, payload: bytes, count: int) -> int:
        """Make `count` records durable; the number of the first. Raises OSError."""
        first = self.next
        now_us = SYSTEM.now_us()
        self._began_us = self._began_us if self._end else now_us
        try:
            write_all(self._times, TimeEntry(first, self._end, self._end + len(payload), now_us).pack())
            os.fdatasync(self._times)
            write_all(self._data, payload)
            os.fdatasync(self._data)
            self._keep_mark(first + count)
        except OSError:
            self._end = -1  # what is in the file now is counted, and its torn tail cut, before the next append
            cut_torn_tails(self._data, self._times)
            raise
        if os.fstat(self._data).st_size < self._end + len(payload):  # the times tell of other bytes, so readers may pass by it
            self._reopen()  # now: another process might find as many lines as the mark tells
            raise OSError(errno.EIO, "another program cut it meanwhile", str(self._files.active))
        if not (same_file(self._data, self._files.active) and begins_a_line(self._data, len(payload))):
            self._end = -1
            raise OSError(errno.EIO, "another program wrote half a line into it, or moved it, meanwhile", str(self._files.active))
        self._written = self._stat_of_times()
        self.next += count
        self._end += len(payload)
        self.taken_ms = now_us // 1000
        return first

    def rotate_if_due(self) -> None:
        """Close the active segment where it is large or old enough. Raises OSError."""
        if self._end > 0 and (self._end >= self._limits.segment_bytes or self._is_old()):
            self._set_aside()
            self._open()
            self.drop_old_segments()
            self._count()  # last: what another program writes from now on has our next group's time

    def drop_old_segments(self) -> None:
        """Drop closed segments that every reader has passed and that are older than the retention. Raises OSError.

        A segment ends where the next one begins. Where no times tell where that is, the last one is kept.
        """
        mend_times(self._files)  # a reader waits for them
        firsts = self._files.closed_firsts()
        least = self._files.least_position() if firsts else None
        if least is None:
            return
        span = None if self._files.rotating() else span_of(self._files.times)
        ends = [*firsts[1:], *([max(span.beginning.first, self._files.end_of(firsts[-1]))] if span else [])]
        retention_seconds = self._limits.retention_seconds
        ages = [age_seconds(self._files.closed(first), retention_seconds) for first in firsts]  # of all: it notes some
        for first, end, age in zip(firsts, ends, ages, strict=False):
            segment = self._files.closed(first)
            if end > least or age < retention_seconds:
                return
            segment.unlink()
            times_of(segment).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        for file in (self._data, self._times):
            if file >= 0:
                os.close(file)
        self._data = self._times = self._end = -1

    def _reopen(self) -> None:
        lost, is_ours = self._is_replaced(), same_file(self._data, self._files.active)
        self.close()
        self._open(lost=lost, keep=is_ours)

    def _open(self, *, lost: bool = False, keep: bool = True) -> None:
        """Open both files. Where something is wrong with them, go on with numbers that no lost record had.

        lost: lines were taken away. keep: those that are left keep their numbers, in a closed segment.
        """
        files = self._files
        self._look_for_another_journal()
        finish_rotation(files)
        mend_times(files)
        span = span_of(files.times)
        end = files.end_of_closed()
        # Lines without times: a file that someone put here, which becomes the journal's beginning, or times that were lost.
        known = span if span and span.beginning.first >= end and not is_edited(files, span) else None
        mark = self._lock.mark()
        least = max(self._mark(), 0 if mark is not None else max(files.positions().values(), default=0))
        lost = lost or (is_cut(files, known, mark, least) if known else end + count_lines(files.active, 0) < least)
        if lost or not known:
            first = max(self.next, end, least)
            is_another = mark is None and bool(self._identity or files.identity.exists())
            if is_another:  # nobody knows which numbers were given, and they may come again
                files.give_identity()
            lost |= is_another
            if known and keep and files.active.exists():
                self._set_aside()
                first = max(first, files.end_of_closed())
            self._number_anew(first, was_read=first > 0 or is_another)
            if lost:
                self._tell_of_loss(first)
        with ExitStack() as on_error:
            on_error.callback(self.close)  # what is half open is never opened again
            self._data = open_regular(files.active, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            self._times = open_regular(files.times, os.O_RDWR | os.O_APPEND)
            sync_directory(files.active.parent)
            files.keep_identity()
            self._identity = files.identity_now()
            on_error.pop_all()

    def _look_for_another_journal(self) -> None:
        """Forget our numbers where all was removed meanwhile, and another process has begun a journal anew."""
        identity = self._files.identity_now()
        if "" not in (identity, self._identity) and identity != self._identity:
            self.next = self._most_marked = 0
            self._tell_of_loss(0)
        self._identity = identity or self._identity

    def _count(self) -> None:
        cut_torn_tails(self._data, self._times)
        span = span_of(self._files.times)
        last = span.last if span else TimeEntry(self.next, 0, 0, 0)
        self._began_us = (span.first_group or span.beginning).at_us if span else 0
        end = os.fstat(self._data).st_size
        self.next = last.first + count_lines(self._files.active, last.start, end)
        self._end, self._written = end, self._stat_of_times()  # last: where something failed, all is counted again

    def _keep_mark(self, record: int, *, durable: bool = False) -> None:
        self._lock.keep_mark(record, durable=durable)
        self._most_marked = max(self._most_marked, record)

    def _mark(self) -> int:
        self._most_marked = max(self._most_marked, self._lock.mark() or 0)
        return self._most_marked

    def _stat_of_times(self) -> tuple[int, int]:
        found = os.fstat(self._times)
        return found.st_size, found.st_mtime_ns

    def _is_in_place(self) -> bool:
        """Whether the files that are open are the journal's, with all that was in them, and times that can be read."""
        files = self._files
        if not (same_file(self._data, files.active) and same_file(self._times, files.times)):
            return False
        size = os.fstat(self._data).st_size
        if self._stat_of_times() == self._written:
            return size >= self._end
        span = span_of(files.times)
        return span is not None and size >= max(least_bytes(span, self._lock.mark()), self._end)

    def _is_replaced(self) -> bool:
        """Whether another file stands in the place of the open one, and not by a rotation, which makes both files anew."""
        files = self._files
        is_another = files.active.exists() and not (same_file(self._data, files.active) or files.rotating())
        return is_another and (same_file(self._times, files.times) or span_of(files.times) is None)

    def _number_anew(self, first: int, *, was_read: bool) -> None:
        """Begin with the number `first`. Where records may have been read, lines without numbers are moved to a closed segment.

        Else whoever reads that file would go on at its place in it, and the next lines stand before that.
        """
        active = self._files.active
        if was_read and active.exists():
            if lines := count_lines(active, 0):
                self._create_times(first)
                self._set_aside()
                first = max(first + lines, self._files.end_of_closed())
            else:
                active.unlink()
        self._create_times(first)
        self._keep_mark(first, durable=True)

    def _tell_of_loss(self, first: int) -> None:
        _log.error(
            "the journal was cut, moved or deleted by another program: records that were not read yet are lost",
            path=str(self._files.active),
            next_record=first,
        )
        self._lost()

    def _set_aside(self) -> None:
        with closing(self):  # where that fails, all is looked at anew
            set_aside(self._files)

    def _is_old(self) -> bool:
        """Whether its first record is old, or of later than now: the clock was ahead, and nobody knows how old it is."""
        seconds = self._limits.segment_seconds
        return seconds > 0 and not 0 <= SYSTEM.now_us() / 1e6 - self._began_us / 1e6 < seconds

    def _create_times(self, first: int) -> None:
        replace(self._files.times, TimeEntry(first, 0, 0, SYSTEM.now_us()).pack(), durable=True)
