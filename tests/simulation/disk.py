"""The disk of one machine: real files in a directory, whose every change waits for its turn and has a fate. It may be full."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.simulation.scheduler import Fate, Process, current, done, gate

_write, _pwrite, _open, _close, _fdopen, _flock = os.write, os.pwrite, os.open, os.close, os.fdopen, fcntl.flock
_WHOLE = ("ftruncate", "rename", "unlink")
_SYNCS = ("fdatasync", "fsync")


_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - a directory of its own is made in it
IN_MEMORY = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
"""Where the files of a history lie: many histories a second are made and gone. None: where all temporary files do."""

_PATIENT = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda seconds: None)
"""Who waits for a lock here: whoever holds it goes on, or is dead, and no time passes meanwhile."""


def _full() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def _synced(_file: int) -> None:
    """The machine itself does not crash here: what was written is there, and the real disk need not be waited for."""


class Disk:
    """`is_full`: no byte is written any more, by our code and by SQLite."""

    def __init__(self) -> None:
        self.is_full = False
        self._open_files: dict[Process, set[int]] = {}

    @contextmanager
    def calls(self) -> Iterator[None]:
        """In here a process's calls of the system go through this disk."""
        with ExitStack() as stack:
            for name, made in (
                ("os.write", lambda file, data: self._written("write", data, lambda some: _write(file, some))),
                ("os.pwrite", lambda file, data, at: self._written("pwrite", data, lambda some: _pwrite(file, some, at))),
                ("os.open", self._opened),
                ("os.close", self._closed),
                ("os.fdopen", self._given_away),
                ("fcntl.flock", self._locked),
                *((f"os.{name}", self._whole(name, getattr(os, name))) for name in _WHOLE),
                *((f"os.{name}", self._whole(name, _synced)) for name in _SYNCS),
            ):
                stack.enter_context(mock.patch(name, made))
            stack.enter_context(mock.patch("devicesync.log.journal.lock.SYSTEM", _PATIENT))
            yield

    def drop(self, process: Process) -> None:
        """The process is gone: the system closes its files, and so gives back its locks."""
        for file in self._open_files.pop(process, ()):
            with suppress(OSError):
                _close(file)

    def _written(self, what: str, data: Any, write: Callable[[Any], int]) -> int:
        if current() is None:
            return write(data)
        fate: Fate = gate(f"disk {what}")
        some = data[: len(data) // 2]
        if fate == "loses its reply":  # killed in the middle of it
            write(some)
            done("crashes after it")
        if self.is_full or fate == "is refused":
            raise _full()
        written = write(some if fate == "is done by half" else data)
        done(fate)
        return written

    def _whole(self, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            if current() is None:
                return call(*given, **named)
            fate = gate(f"disk {what}")
            if fate == "is refused" and what != "unlink":
                raise _full()
            result = call(*given, **named)
            done(fate)
            return result

        return made

    def _opened(self, *given: Any, **named: Any) -> int:
        file = _open(*given, **named)
        if process := current():
            self._open_files.setdefault(process, set()).add(file)
        return file

    def _closed(self, file: int) -> None:
        self._forget(file)
        _close(file)

    def _given_away(self, file: int, *given: Any, **named: Any) -> Any:
        """Its object closes it, by no call that is seen here: its number may be another process's file soon."""
        self._forget(file)
        return _fdopen(file, *given, **named)

    def _forget(self, file: int) -> None:
        if process := current():
            self._open_files.get(process, set()).discard(file)

    @staticmethod
    def _locked(file: Any, how: int) -> None:
        """Who tries again lets the others go on."""
        if current() is not None and how & fcntl.LOCK_EX:
            done(gate("disk flock"))
        _flock(file, how)
