"""Appending: one write and one sync for all callers that wait at the same time, under a lock shared by all processes."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from devicesync.durable import replace, sync_directory
from devicesync.log.journal.files import Files, count_lines, naming_failures, same_file, times_of
from devicesync.log.journal.times import ENTRY_BYTES, Taken, Times

_TAIL_BYTES = 1 << 16


class _Group:
    """What one caller wants written, and how that went."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.payload = b"\n".join(values) + b"\n"
        self.count = len(values)
        self.first = -1
        self.error: BaseException | None = None

    @property
    def settled(self) -> bool:
        return self.first >= 0 or self.error is not None


class Appender:
    """Writes the active segment. Safe for threads (they share writes and syncs) and for processes (they take turns)."""

    def __init__(self, files: Files, segment_bytes: int, retention_seconds: float) -> None:
        self._files = files
        self._segment_bytes = segment_bytes
        self._retention_seconds = retention_seconds
        self._waiting: list[_Group] = []
        self._writing = False
        self._change = threading.Condition()
        self._data = self._times = -1
        self._next = self._end = 0
        self.syncs = 0
        files.active.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with self._all_to_ourselves(), naming_failures("open", files.active):
            self._catch_up()
            if not files.identity.exists():
                files.write_identity()

    def append(self, values: Sequence[bytes]) -> int:
        """Make `values` durable as consecutive records; the number of the first. Raises Unavailable."""
        group = _Group(values)
        with self._change:
            self._waiting.append(group)
            self._change.wait_for(lambda: group.settled or not self._writing)
            if not group.settled:
                groups, self._waiting = self._waiting, []
                self._writing = True
        if not group.settled:
            try:
                self._settle(groups)
            finally:
                self._done_writing()
        if group.error is not None:
            raise group.error
        return group.first

    def end(self) -> int:
        """The number that the next record will have."""
        with self._turn(), self._all_to_ourselves(), naming_failures("read", self._files.active):
            self._catch_up()
            return self._next

    def close(self) -> None:
        """Close the files."""
        with self._turn():
            self._close_segment()
            os.close(self._lock)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep this process's other threads from writing."""
        with self._change:
            self._change.wait_for(lambda: not self._writing)
            self._writing = True
        try:
            yield
        finally:
            self._done_writing()

    def _done_writing(self) -> None:
        with self._change:
            self._writing = False
            self._change.notify_all()

    def _settle(self, groups: list[_Group]) -> None:
        try:
            with self._all_to_ourselves(), naming_failures("append to", self._files.active):
                self._catch_up()
                if self._end >= self._segment_bytes:
                    self._rotate()
                first = self._write(b"".join([group.payload for group in groups]), sum(group.count for group in groups))
        except BaseException as error:
            for group in groups:
                group.error = error
            if not isinstance(error, Exception):
                raise
        else:
            for group in groups:
                group.first = first
                first += group.count

    def _write(self, payload: bytes, count: int) -> int:
        first = self._next
        try:
            _write_all(self._times, Taken(first, self._end, self._end + len(payload), time.time_ns() // 1000).pack())
            os.fdatasync(self._times)
            _write_all(self._data, payload)
            os.fdatasync(self._data)
        except OSError:
            self._end = -1  # what is in the file now is counted, and its torn tail cut, before the next append
            self._cut_torn_tails()
            raise
        self.syncs += 1
        self._next += count
        self._end += len(payload)
        return first

    def _catch_up(self) -> None:
        """Open or reopen the active segment, and count what others have appended to it."""
        if self._data < 0 or not same_file(self._data, self._files.active):
            self._close_segment()
            self._open_segment()
        if os.fstat(self._data).st_size != self._end:
            self._cut_torn_tails()
            last = Times.last_in(self._files.times)
            self._end = os.fstat(self._data).st_size
            self._next = last.first + count_lines(self._files.active, last.start)

    def _open_segment(self) -> None:
        files = self._files
        self._finish_rotation()
        if not files.times.exists():
            # Lines without times: a file that someone put here. It becomes the journal's beginning.
            self._create_times(self._next_after_closed())
        self._data = os.open(files.active, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._times = os.open(files.times, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._end = -1
        sync_directory(files.active.parent)

    def _close_segment(self) -> None:
        for file in (self._data, self._times):
            if file >= 0:
                os.close(file)
        self._data = self._times = -1

    def _rotate(self) -> None:
        files = self._files
        files.active.rename(files.closed(Times.first_in(files.times)))
        self._close_segment()
        self._open_segment()
        self._catch_up()
        self._drop_old_segments()

    def _finish_rotation(self) -> None:
        """The second half of a rotation, also of one that was cut short: the times follow their segment."""
        files = self._files
        if files.active.exists() or not files.times.exists():
            return
        segment = files.closed(Times.first_in(files.times))
        if segment.exists():
            files.times.rename(times_of(segment))

    def _create_times(self, first: int) -> None:
        replace(self._files.times, Taken(first, 0, 0, time.time_ns() // 1000).pack(), durable=True)

    def _next_after_closed(self) -> int:
        firsts = self._files.closed_firsts()
        if not firsts:
            return 0
        segment = self._files.closed(firsts[-1])
        last = Times.last_in(times_of(segment))
        return last.first + count_lines(segment, last.start)

    def _drop_old_segments(self) -> None:
        """Drop closed segments that every reader has passed and that are older than the retention."""
        positions = self._files.positions().values()
        firsts = self._files.closed_firsts()
        ends = [*firsts[1:], Times.first_in(self._files.times)]
        for first, end in zip(firsts, ends, strict=True):
            segment = self._files.closed(first)
            age_seconds = time.time() - segment.stat().st_mtime
            if not positions or end > min(positions) or age_seconds < self._retention_seconds:
                return
            segment.unlink()
            times_of(segment).unlink(missing_ok=True)

    def _cut_torn_tails(self) -> None:
        """Cut what follows the last line end: it was never acknowledged, and no reader takes it."""
        size = os.fstat(self._times).st_size
        os.ftruncate(self._times, size - size % ENTRY_BYTES)
        end = os.fstat(self._data).st_size
        while end:
            start = max(end - _TAIL_BYTES, 0)
            found = os.pread(self._data, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end != os.fstat(self._data).st_size:
            os.ftruncate(self._data, end)

    @contextmanager
    def _all_to_ourselves(self) -> Iterator[None]:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
