"""The journal's lock: its writers take turns, in one process and in all. A process that was stopped may hold it for good.

The lock's file also keeps the mark: the number after the last durable record. Whoever finds fewer knows that some are gone.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devicesync.clock import SYSTEM
from devicesync.durable import open_ours, opened
from devicesync.errors import Unavailable
from devicesync.log.journal.files import naming_failures

_PATIENCE_SECONDS = 10.0
_PATIENCE_AFTER_REFUSAL_SECONDS = 1.0
"""Whoever was refused asks again: all that one process has to write must not wait the whole time each, also when it ends."""
_TURN_SECONDS, _TURN_AFTER_ONE_IN_VAIN_SECONDS = 5.0, 0.05
"""Whoever waits longer tries it out of turn: who is next may be a suspended process, and then nobody would get the lock."""
_FIRST_NAP_SECONDS, _LAST_NAP_SECONDS = 0.0005, 0.005
_MARK_DIGITS = 20
_NAP_SHARE = 0.001
"""Naps grow with the time waited: a busy lock is taken soon, and one that nobody gives back costs nearly nothing."""


def mark_of(path: Path) -> int | None:
    """The mark in the lock's file, read without the lock; None without a whole one, or where it can't be read now."""
    with suppress(OSError), opened(path) as file:
        return _mark_in(file.fileno())
    return None


def _marked(record: int) -> bytes:
    digits = b"%0*d" % (_MARK_DIGITS, record)
    return b"%b %08x\n" % (digits, zlib.crc32(digits))


def _mark_in(file: int) -> int | None:
    held = os.pread(file, len(_marked(0)), 0)
    digits = held[:_MARK_DIGITS]
    return int(digits) if digits.isdigit() and held == _marked(int(digits)) else None


class JournalLock:
    """The open lock file. Not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()
        self._patience_seconds = _PATIENCE_SECONDS
        self._turn_seconds = _TURN_SECONDS

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other writer out while the body runs. Raises Unavailable where others keep the lock."""
        try:
            try:
                self._take()
            finally:
                with suppress(OSError):
                    fcntl.lockf(self._file, fcntl.LOCK_UN)
            self._patience_seconds = _PATIENCE_SECONDS
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def mark(self) -> int | None:
        """The mark that was kept last; None without a whole one. Call it while the lock is held. Raises OSError."""
        return _mark_in(self._file)

    def keep_mark(self, record: int, *, durable: bool = False) -> None:
        """Keep the mark. Raises OSError. durable: for the first one. An older one, after a loss of power, does no harm."""
        os.pwrite(self._file, _marked(record), 0)
        if durable:
            os.fdatasync(self._file)

    def close(self) -> None:
        """Close the file; again, it does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1  # a number that is closed twice may be another file's by then

    def _open(self) -> int:
        with naming_failures("lock", self._path):
            return open_ours(self._path, os.O_RDWR | os.O_CREAT)

    def _is_taken(self) -> bool:
        with naming_failures("lock", self._path):
            while self._locks():
                if self._is_there():
                    return True
                self._file, former = self._open(), self._file  # somebody removed it: others lock the one that is there now
                os.close(former)
        return False

    def _locks(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_there(self) -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        return False

    def _take(self) -> None:
        began, waited = SYSTEM.monotonic(), 0.0
        while True:
            is_next = self._is_next()
            if (is_next or waited >= self._turn_seconds) and self._is_taken():
                self._turn_seconds = _TURN_SECONDS if is_next else _TURN_AFTER_ONE_IN_VAIN_SECONDS
                return
            if waited >= self._patience_seconds:
                self._patience_seconds = _PATIENCE_AFTER_REFUSAL_SECONDS
                raise Unavailable(
                    f"others have held {self._path} for {waited:.0f} s: the journal can't be written",
                    f"a suspended or frozen process? `fuser {self._path}` or `lslocks` names it: let it go on, or end it",
                )
            SYSTEM.sleep(min(max(waited * _NAP_SHARE, _FIRST_NAP_SECONDS), _LAST_NAP_SECONDS))
            waited = SYSTEM.monotonic() - began

    def _is_next(self) -> bool:
        """Whether this process is the next to get the lock, as a second lock of the file says.

        Who waits looks only now and then. Without that, one that takes the lock again at once would nearly always be first.
        """
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # as where the file system has no such locks: then chance decides
            return True
        return True
