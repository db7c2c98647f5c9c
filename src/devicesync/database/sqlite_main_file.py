"""The database file itself, without its -wal: whether nobody but SQLite writes into it.

SQLite does not look. Where somebody copies an older file into it (`cp`), SQLite goes on, and mixes its newer pages with the older
ones. So every commit is counted in the file, beside the database's identity. A file that has fewer commits than SQLite had copied
into it is an older one. Then nothing is written any more. Its -wal belongs to the newer one, and only a person can know that
nobody uses it: it is not removed.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from devicesync.durable import beginning_of
from devicesync.errors import Replaced
from devicesync.never_freed import never_free
from devicesync.sqlite_reading import open_alone, open_to_read, wal_of
from devicesync.sqlite_transaction import transaction

LACKS = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pragma_table_info('commits') WHERE name = 'identity')"
CREATE = (
    "DROP TABLE IF EXISTS commits",
    "CREATE TABLE commits (written INTEGER NOT NULL, copied INTEGER NOT NULL, identity TEXT NOT NULL)",
    "INSERT INTO commits VALUES (0, 0, '')",
)
COUNT = (
    "UPDATE commits SET written = written + 1, copied = max(copied, min(written, ?)), identity = CASE "
    "WHEN EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'applied') THEN (SELECT id FROM identity) ELSE '' END"
)
"""Part of every commit. Binds how many commits the file surely has without its -wal."""

START_AGAIN = "start again: then the log is applied to the one that is there"
_REMOVE = "stop all that uses it, remove its -wal and -shm, and start again: then the rest of a journal is applied to the copy"
_COUNTS = "SELECT written, copied, identity FROM commits"
_BUSY_SECONDS = 10.0
_WAL_HEADER_BYTES = 32


class _Counts(NamedTuple):
    written: int = 0
    copied: int = 0  # how many of them the file surely has without its -wal
    identity: str = ""  # "" where the database may still get another one


class MainFile:
    """Watches the file of an open database, for the thread that works with it and the one that makes the checkpoints.

    path: the file itself, where the caller named a link to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = _behind_links(path)
        self._checkpointing = threading.Lock()
        self._seen = _Counts()  # of the file with its -wal
        self._copied = 0
        self._wal = b""  # how its -wal began at the last look, which is another beginning each time
        self._before_wal = 0  # how many commits there were then: the file has them when the -wal begins anew
        self._alone: _Counts | None = None  # of the file without its -wal; who only reads does not look
        self._stat: tuple[int, ...] | None = None

    def found(self) -> None:
        """Take the file that is there now for the right one."""
        self._stat = _stat_of(self.path)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Take the file for the right one, and look how many commits it has. Call this once it has all tables."""
        self.found()
        self._seen = _counts_of(connection)
        self._alone = min(_counts_alone(self.path) or _Counts(), self._seen)  # a -wal may have an older one: by `.restore`
        self._look_at_wal()

    def has_wal(self) -> bool:
        """Whether a write-ahead log with anything in it lies beside the file."""
        return _has_wal(self.path)

    @contextmanager
    def commit(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Commit what the body writes, and count that. Raises Replaced where SQLite itself has restored another file.

        SQLite begins its -wal anew only when the file has all that was committed before. Then that is noted, too, and looked at:
        raises Replaced where the file has less.
        """
        copied = self._copied
        with self._counted(connection):
            yield
        if self._copied != copied:
            with suppress(sqlite3.OperationalError), self._counted(connection):  # else the next commit notes it
                pass
            self._check_copied()

    @contextmanager
    def _counted(self, connection: sqlite3.Connection) -> Iterator[None]:
        with transaction(connection):
            self._compare(_counts_of(connection), self._seen, START_AGAIN)
            yield
            connection.execute(COUNT, (self._copied,))
            seen = _counts_of(connection)
        self._seen = seen
        self._look_at_wal()

    def _look_at_wal(self) -> None:
        wal = _beginning_of(wal_of(self.path))
        if wal is None:
            return
        if wal != self._wal:
            self._copied = self._before_wal
        self._wal, self._before_wal = wal, self._seen.written

    def _check_copied(self) -> None:
        """Raises Replaced where the file has not what SQLite, in whatever process, had copied into it before this -wal."""
        if self._alone is not None and self._stat is not None:
            self._alone = self._alone._replace(written=max(self._alone.written, self._copied))
            self._stat = (*self._stat[:2], -1, -1)  # so that it is looked at, now or after a checkpoint
            self.check()

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

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection. Not where another file was copied over ours: SQLite would copy its -wal into that one."""
        now = _stat_of(self.path)
        try:
            self._check()
        except Replaced:
            if self._alone is not None and _is_same(now, self._stat):
                never_free(connection)
                return
        connection.close()

    def _check(self) -> None:
        now = _stat_of(self.path)
        if now == self._stat:
            return
        if not _is_same(now, self._stat):
            told = f"the database {self.path} was deleted, or replaced by another, while it was worked with"
            raise Replaced(told, START_AGAIN)
        if self._alone is not None:
            alone = _counts_alone(self.path)
            if alone is None:
                return
            self._compare(alone, self._alone, _REMOVE)
            self._alone = alone
        self._stat = now

    def _look(self) -> None:
        now, alone = _stat_of(self.path), _counts_alone(self.path)
        if alone and not _unlike(alone, self._alone or alone):  # else another file came meanwhile, and the next check says so
            self._stat, self._alone = now, alone

    def _compare(self, there: _Counts, before: _Counts, hint: str) -> None:
        if what := _unlike(there, before):
            raise Replaced(f"{what} was written into the database {self.path} while it was worked with", hint)


def refuse_wal_of_another(path: Path) -> None:
    """Raise Replaced where an older file was copied to the place of the database, and the newer one's -wal lies beside it."""
    path = _behind_links(path)
    if not _has_wal(path):
        return
    with suppress(sqlite3.Error):  # opening it tells of these
        with closing(open_to_read(path, _BUSY_SECONDS)) as connection:
            shown = _counts_of(connection)
        alone = _counts_alone(path)  # looked at last: another process may make a checkpoint meanwhile
        if alone and (what := _unlike(alone, shown._replace(written=min(shown.written, shown.copied)))):
            raise Replaced(f"{wal_of(path)} does not belong to the file beside it, which is {what}", _REMOVE)


def _behind_links(path: Path) -> Path:
    return Path(os.path.realpath(path))  # which bears a link to itself


def _unlike(there: _Counts, before: _Counts) -> str:
    """What is there in the place of what was before; "" where it is the same, with later commits or none."""
    if "" not in (there.identity, before.identity) and there.identity != before.identity:
        return "another database"
    return "an older copy" if there.written < before.written else ""


def _counts_of(connection: sqlite3.Connection) -> _Counts:
    try:
        row = connection.execute(_COUNTS).fetchone()
    except sqlite3.OperationalError as error:
        if "no such" not in str(error):
            raise
        return _Counts()  # an older release has made it
    if row is None or [type(value) for value in row] != [int, int, str]:
        torn = sqlite3.DatabaseError("another table stands there")  # as after half a checkpoint
        torn.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise torn
    return _Counts(*row)


def _counts_alone(path: Path) -> _Counts | None:
    """Those of the file as it is without its -wal; None where it can't be read so, as after half a checkpoint."""
    try:
        with closing(open_alone(path, _BUSY_SECONDS)) as connection:
            return _counts_of(connection)
    except sqlite3.Error:
        return None


def _beginning_of(wal: Path) -> bytes | None:
    try:
        return beginning_of(wal, _WAL_HEADER_BYTES)
    except FileNotFoundError:
        return b""
    except OSError:  # as without a free descriptor
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
