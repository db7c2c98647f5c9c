"""Up to where a database of SQLite has applied each log: a table in its file.

A reader's own position lies in another file. It outlives the rows before it where somebody removes the database's -wal, or puts
an older copy of the file in its place. This one goes with them: SQLite keeps what was committed before it, or loses it too.
"""

import sqlite3

CREATE = "CREATE TABLE applied (log TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID"
KEEP = "INSERT INTO applied VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET position = excluded.position"
_IS_KEPT = "SELECT 1 FROM sqlite_master WHERE name = 'applied'"
_POSITION = "SELECT position FROM applied WHERE log = ?"


def is_kept(connection: sqlite3.Connection) -> bool:
    """Whether the file has the table. What an older release made has none."""
    return connection.execute(_IS_KEPT).fetchone() is not None


def position(connection: sqlite3.Connection, log: str) -> int | None:
    """See port.Database.applied."""
    if not is_kept(connection):
        return None
    row = connection.execute(_POSITION, (log,)).fetchone()
    return int(row[0]) if row else 0
