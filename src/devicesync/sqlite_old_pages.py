"""The old pages of a SQLite file: it and its write-ahead log have what was deleted, until that log is emptied.

`secure_delete` overwrites a row that is deleted. But where SQLite divides a page between two, former copies of rows stay in the
room that it leaves. Of some 1 in 1,000 devices a page has such a copy. Only VACUUM writes every page anew.
"""

import sqlite3
from pathlib import Path

from devicesync.durable import room_in

_VACUUM_BYTES = 64 << 20
"""A larger file is not written anew each time: this takes a second."""
_TIMES_ITS_SIZE = 3
"""VACUUM writes the file twice more, into a temporary one and into its -wal; and others want room, too."""
_KIND = 0xFF
"""Of an error's extended code."""
_ROOM = (
    "make room on it, and on the one with SQLite's temporary files (SQLITE_TMPDIR), and call `sqlite3 FILE VACUUM` while nobody "
    "works with it, or erase something else then"
)
_ENDS = "it goes when a command next opens the file to write; or run this one again, when the other has ended"


def forget_old_pages(connection: sqlite3.Connection, path: Path) -> bool:
    """Write the file anew where it is small, and empty its write-ahead log. Return whether nobody else kept us from it.

    Raises sqlite3.Error.
    """
    try:
        if not _empty_log(connection):
            return False  # a reader would keep us from it again, each time after a VACUUM
        size = path.stat().st_size
        if size > _VACUUM_BYTES:
            return True
        if room_in(path.parent) < size * _TIMES_ITS_SIZE or not _write_anew(connection):
            _tell("the file may have former copies of what was erased: the disk has no room to write it anew", path, _ROOM)
            return True
        return _empty_log(connection)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return False


def _write_anew(connection: sqlite3.Connection) -> bool:
    """Return False where a disk was full: the file's own, or the one for SQLite's temporary files."""
    try:
        connection.execute("VACUUM")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & _KIND in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}:
            return False
        raise
    return True


def _empty_log(connection: sqlite3.Connection) -> bool:
    ((busy, _, _),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return not busy


def tell_that_they_stay(path: Path) -> None:
    """Log it: the write-ahead log of this file could not be emptied, for another process reads the file."""
    _tell("what was deleted is still in the file: another process reads it", path, _ENDS)


def _tell(what: str, path: Path, hint: str) -> None:
    import structlog  # noqa: PLC0415 - who only reads has nothing to tell, and is to be quick

    structlog.get_logger("devicesync").warning(what, path=str(path), hint=hint)
