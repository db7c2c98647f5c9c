"""The database file itself, without its -wal: whether nobody but SQLite writes into it.

SQLite does not look. Where somebody copies an older file into it (`cp`), SQLite goes on, and mixes its newer pages with the older
ones. So every commit is counted in the file. A file that has fewer commits than SQLite had copied into it is an older one. Then
nothing is written any more. Its -wal belongs to the newer one, and only a person can know that nobody uses it: it is not removed.
"""

import ctypes
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from devicesync.errors import Replaced
from devicesync.sqlite_reading import open_alone, open_to_read, wal_of
from devicesync.sqlite_transaction import transaction

CREATE = "CREATE TABLE IF NOT EXISTS commits (written INTEGER NOT NULL, copied INTEGER NOT NULL)"
BEGIN = "INSERT INTO commits SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM commits)"
START_AGAIN = "start again: then the log is applied to the one that is there"
_REMOVE = "stop all that uses it, remove its -wal and -shm, and start again: then the rest of a journal is applied to the copy"
_COUNT = "UPDATE commits SET written = written + 1, copied = max(copied, min(written, ?))"
_COUNTS = "SELECT written, copied FROM commits"
_BUSY_SECONDS = 10.0


class _Counts(NamedTuple):
    written: int = 0
    copied: int = 0  # how many of them the file surely has without its -wal


class MainFile:
    """Watches the file of an open database, for the thread that works with it and the one that makes the checkpoints.

    path: the file itself, where the caller named a link to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._copied = self._seen = 0
        self._checkpointing = threading.Lock()
        self._written: int | None = None  # of the file alone; who only reads does not look
        self._stat: tuple[int, ...] | None = None

    def found(self) -> None:
        """Take the file that is there now for the right one."""
        self._stat = _stat_of(self.path)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Take the file for the right one, and look how many commits it has. Call this once it has all tables."""
        self.found()
        alone = _counts_alone(self.path) or _Counts()
        self._seen = _counts_of(connection).written
        self._written = min(alone.written, self._seen)  # a -wal may have an older database: by `.restore`
        if not self.has_wal():
            self._copied = self._written

    def has_wal(self) -> bool:
        """Whether a write-ahead log with anything in it lies beside the file."""
        return _has_wal(self.path)

    @contextmanager
    def commit(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Commit what the body writes, and count that. Raises Replaced where SQLite itself has restored an older copy."""
        with transaction(connection):
            yield
            if _counts_of(connection).written < self._seen:
                raise self._older_copy(START_AGAIN)
            connection.execute(_COUNT, (self._copied,))
            seen = _counts_of(connection).written
        self._seen = seen

    def check(self) -> None:
        """Raises Replaced where somebody else has put another file there, or has written into it. Sees little of a checkpoint."""
        if self._checkpointing.acquire(blocking=False):
            try:
                self._check()
            finally:
                self._checkpointing.release()

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Let the body make one. Raises Replaced before it."""
        with self._checkpointing:
            self._check()
            yield
            self._look()

    def synced(self, written: int) -> None:
        """Note that a checkpoint has copied so many commits, and synced the file."""
        self._copied = max(self._copied, written)

    def _older_copy(self, hint: str) -> Replaced:
        """The error to raise where the file is older than it was."""
        return Replaced(f"an older copy was written into the database {self.path} while it was worked with", hint)

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection. Not where another file was copied over ours: SQLite would copy its -wal into that one."""
        now = _stat_of(self.path)
        try:
            self._check()
        except Replaced:
            if self._written is not None and _is_same(now, self._stat):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # it stays open until the process is gone
                return
        connection.close()

    def _check(self) -> None:
        now = _stat_of(self.path)
        if now == self._stat:
            return
        if not _is_same(now, self._stat):
            told = f"the database {self.path} was deleted, or replaced by another, while it was worked with"
            raise Replaced(told, START_AGAIN)
        if self._written is not None:
            counts = _counts_alone(self.path)
            if counts is None:
                return
            if counts.written < self._written:
                raise self._older_copy(_REMOVE)
            self._written = counts.written
        self._stat = now

    def _look(self) -> None:
        now, counts = _stat_of(self.path), _counts_alone(self.path)
        if counts and counts.written >= (self._written or 0):  # else another file came meanwhile, and the next check says so
            self._stat, self._written = now, counts.written


def refuse_wal_of_another(path: Path) -> None:
    """Raise Replaced where an older file was copied to the place of the database, and the newer one's -wal lies beside it."""
    path = path.resolve()
    if not _has_wal(path):
        return
    with suppress(sqlite3.Error):  # opening it tells of these
        with closing(open_to_read(path, _BUSY_SECONDS)) as connection:
            shown = _counts_of(connection)
        alone = _counts_alone(path)  # looked at last: another process may make a checkpoint meanwhile
        if alone and alone.written < min(shown):
            raise Replaced(f"{wal_of(path)} belongs to a newer database than the file beside it, which is an older copy", _REMOVE)


def written_in(connection: sqlite3.Connection) -> int:
    """How many commits the database has had, as the connection sees it. Raises sqlite3.DatabaseError."""
    return _counts_of(connection).written


def _counts_of(connection: sqlite3.Connection) -> _Counts:
    try:
        row = connection.execute(_COUNTS).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return _Counts()  # an older release has made it
    if row is None or not all(isinstance(count, int) for count in row):
        raise sqlite3.DatabaseError("another table stands there")  # as after half a checkpoint
    return _Counts(*row)


def _counts_alone(path: Path) -> _Counts | None:
    """Those of the file as it is without its -wal; None where it can't be read so, as after half a checkpoint."""
    try:
        with closing(open_alone(path, _BUSY_SECONDS)) as connection:
            return _counts_of(connection)
    except sqlite3.Error:
        return None


def _has_wal(path: Path) -> bool:
    found = _stat_of(wal_of(path))
    return bool(found and found[2])


def _is_same(one: tuple[int, ...] | None, other: tuple[int, ...] | None) -> bool:
    return one is not None and other is not None and one[:2] == other[:2]


def _stat_of(path: Path) -> tuple[int, ...] | None:
    """Which file it is, and what changes when somebody writes into it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
