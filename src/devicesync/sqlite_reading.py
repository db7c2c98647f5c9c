"""Reading a SQLite file that this user may not write, nor its directory."""

import sqlite3
from pathlib import Path


def open_to_read(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection that makes and changes nothing; usable from any thread.

    Raises sqlite3.Error, also where it is no regular file: SQLite would wait for a pipe's writers for ever.
    """
    if path.exists() and not path.is_file():
        raise sqlite3.OperationalError("it is no regular file")
    connection = _connect(path, "mode=ro", busy_seconds)
    try:
        connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # A file in WAL mode is read with the help of files beside it. Where there are none, nobody writes it now.
        if not path.exists() or wal_of(path).exists():
            raise
        return open_alone(path, busy_seconds)
    return connection


def open_alone(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to the file as it is without its -wal: what others write meanwhile it may see in part."""
    return _connect(path, "mode=ro&immutable=1", busy_seconds)


def wal_of(path: Path) -> Path:
    """The write-ahead log's place. SQLite has it beside the file itself, not beside a link to it."""
    return path.with_name(path.name + "-wal")


def _connect(path: Path, options: str, busy_seconds: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, timeout=busy_seconds, check_same_thread=False
    )
