"""Appending: one write and one sync for all callers that wait at the same time, under a lock shared by all processes."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.log.journal.files import JournalFiles, naming_failures
from devicesync.log.journal.lock import JournalLock
from devicesync.log.journal.rotation import mend_times
from devicesync.log.journal.tail import Limits, Tail

_TOLD_SECONDS = 30.0


class _Group:
    """What one caller wants written, and how that went."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.payload = b"\n".join(values) + b"\n"
        self.count = len(values)
        self.first = -1
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.first >= 0 or self.error is not None


class Appender:
    """Writes the journal's tail. Safe for threads (they share writes and syncs) and for processes (they take turns)."""

    def __init__(self, files: JournalFiles, limits: Limits) -> None:
        self._files = files
        self._waiting: list[_Group] = []
        self._writing = False
        self._change = threading.Condition()
        self._lost_at = -math.inf
        self.syncs = 0
        files.active.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = JournalLock(files.lock)
        self._tail = Tail(files, limits, self._lock, self._lost)
        try:
            with self._lock.held(), naming_failures("open", files.active):
                self._tail.drop_old_segments()  # on a full disk that makes room
                self._tail.catch_up()
        except BaseException:
            self.close()
            raise

    def append(self, values: Sequence[bytes]) -> int:
        """Make `values` durable as consecutive records; the number of the first. Raises Unavailable."""
        group = _Group(values)
        with self._change:
            self._waiting.append(group)
            self._change.wait_for(lambda: group.is_done or not self._writing)
            if not group.is_done:
                groups, self._waiting = self._waiting, []
                self._writing = True
        if not group.is_done:
            try:
                self._write_groups(groups)
            finally:
                self._done_writing()
        if group.error is not None:
            raise group.error
        return group.first

    @property
    def taken_ms(self) -> int | None:
        """When this process's last records were taken, in ms; None before the first."""
        return self._tail.taken_ms

    def end(self) -> int:
        """The number that the next record will have."""
        with self._caught_up("read"):
            return self._tail.next

    def mend(self) -> int:
        """Finish a rotation that was cut short, and make lost times anew. Return what `end` does. Raises Unavailable."""
        with self._caught_up("read"):
            mend_times(self._files)
            return self._tail.next

    def tidy(self) -> None:
        """Close the active segment where it is old enough, and drop closed ones that are not needed. Raises Unavailable.

        These first: on a full disk that makes the room for the next segment.
        """
        with self._held("tidy"):
            self._tail.drop_old_segments()
            self._tail.catch_up()
            self._tail.rotate_if_due()
            self._tail.drop_old_segments()

    def check(self) -> None:
        """Raise Unavailable where it can't be written to, or just lost records through another program."""
        self.end()
        if SYSTEM.monotonic() - self._lost_at < _TOLD_SECONDS:
            raise Unavailable(
                f"{self._files.active} was cut, moved or deleted by another program: records may be lost",
                "leave its rotation to devicesync; it goes on by itself",
            )

    def close(self) -> None:
        """Close the files."""
        with self._turn():
            self._tail.close()
            self._lock.close()

    @contextmanager
    def _caught_up(self, what: str) -> Iterator[None]:
        """Hold the lock, and know what other processes have appended. what: is to be done. Raises Unavailable."""
        with self._held(what):
            self._tail.catch_up()
            yield

    @contextmanager
    def _held(self, what: str) -> Iterator[None]:
        with self._turn(), self._lock.held(), naming_failures(what, self._files.active):
            yield

    def _lost(self) -> None:
        self._lost_at = SYSTEM.monotonic()

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

    def _write_groups(self, groups: list[_Group]) -> None:
        try:
            with self._lock.held(), naming_failures("append to", self._files.active):
                self._tail.catch_up()
                self._tail.rotate_if_due()
                first = self._tail.write(b"".join([group.payload for group in groups]), sum(group.count for group in groups))
                self.syncs += 1
        except BaseException as error:
            for group in groups:
                group.error = error
            if not isinstance(error, Exception):
                raise
        else:
            for group in groups:
                group.first = first
                first += group.count
