"""Reading: from a record's number on, through closed segments and the active one, while others append and rotate."""

import fcntl
import os
import time
from contextlib import AbstractContextManager, suppress

from devicesync.errors import Held
from devicesync.log.journal.files import Files, count_lines, naming_failures
from devicesync.log.journal.segment import Segment
from devicesync.log.journal.times import Times
from devicesync.log.port import Record

_BUSY_SECONDS = 1.0
_BUSY_NAP_SECONDS = 0.002
_IDLE_NAP_SECONDS = 0.01


class JournalReader:
    """See port.Reader. The journal is one partition, 0, whose records count from 0 for its whole life."""

    def __init__(self, files: Files, name: str) -> None:
        self._files = files
        self._name = name
        self._segment: Segment | None = None
        self._busy_until = 0.0
        self.position = files.read_position(name) or 0
        with self._keeping_position():
            self._position_file = os.open(files.position(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._position_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._position_file)
                raise Held(f"{files.active} is being read as {name!r} by another process", "stop that one first") from None
        self.commit()

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """See port.Reader. Blank lines are passed by."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            with naming_failures("read", self._files.active):
                records = self._read(max_records)
            now = time.monotonic()
            if records:
                self._busy_until = now + _BUSY_SECONDS
            if records or now >= deadline:
                return records
            nap = _BUSY_NAP_SECONDS if now < self._busy_until else _IDLE_NAP_SECONDS
            time.sleep(min(nap, deadline - now))

    def skip(self, count: int) -> None:
        """Pass by the next `count` records, as if they had been polled."""
        target = self.position + count
        while self.position < target and self._read(target - self.position):
            pass

    def commit(self) -> None:
        """See port.Reader. Not synced: a position lost with the power leaves an older one, and reading again is harmless."""
        with self._keeping_position():
            os.pwrite(self._position_file, b"%020d\n" % self.position, 0)

    def keep_alive(self) -> None:
        """See port.Reader."""

    def caught_up(self) -> bool:
        """See port.Reader."""
        return self.lag() == 0

    def lag(self) -> int:
        """See port.Reader."""
        with naming_failures("read", self._files.active), suppress(FileNotFoundError):
            last = Times.last_in(self._files.times)
            return max(last.first + count_lines(self._files.active, last.start) - self.position, 0)
        return 0

    def close(self) -> None:
        """See port.Reader."""
        if self._segment:
            self._segment.close()
        os.close(self._position_file)

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

    def _keeping_position(self) -> AbstractContextManager[None]:
        return naming_failures("keep the position of a reader in", self._files.position(self._name))
