"""What SQLite leaves in a file of rows that it has moved."""

import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from devicesync import sqlite_old_pages
from devicesync.dead_letters.port import DeadLetter
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.sqlite_old_pages import forget_old_pages


def test_of_an_erased_row_no_former_copy_stays(tmp_path: Path) -> None:
    """`secure_delete` does not reach what SQLite leaves of a row where it has divided its page."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in ("page_size = 2048", "journal_mode = WAL", "secure_delete = ON"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY, token TEXT)")
        moved = _moved(connection, path)
        connection.executemany("DELETE FROM devices WHERE id = ?", [(number,) for number in moved])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert moved & _found(path).keys()
        assert forget_old_pages(connection, path)
        assert not moved & _found(path).keys()
        assert connection.execute("SELECT count(*) FROM devices").fetchone() == (2000 - len(moved),)


def test_a_disk_without_room_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VACUUM failed each 2 s, in silence, and registrations were refused meanwhile."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY)")
        monkeypatch.setattr(sqlite_old_pages, "room_in", lambda _: 2 * path.stat().st_size)
        seen: list[str] = []
        connection.set_trace_callback(seen.append)
        with structlog.testing.capture_logs() as told:
            assert forget_old_pages(connection, path)
        assert "VACUUM" not in seen
        assert "no room" in told[0]["event"]


class _WithoutTemporary(sqlite3.Connection):
    """One whose temporary files find no room."""

    def execute(self, sql: str, *more: Any) -> sqlite3.Cursor:
        if sql == "VACUUM":
            full = sqlite3.OperationalError("database or disk is full")
            full.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise full
        return super().execute(sql, *more)


def test_temporary_files_without_room_are_told(tmp_path: Path) -> None:
    """VACUUM writes the file there first. It failed in silence, and erased data stayed."""
    path = tmp_path / "file.db"
    with closing(sqlite3.connect(path, isolation_level=None, factory=_WithoutTemporary)) as connection:
        connection.execute("CREATE TABLE devices (id INTEGER PRIMARY KEY)")
        with structlog.testing.capture_logs() as told:
            assert forget_old_pages(connection, path)
    assert "no room" in told[0]["event"]


def _moved(connection: sqlite3.Connection, path: Path) -> set[int]:
    """The rows of which the file has two copies, after many changes of length."""
    chance = random.Random(1)
    while True:
        rows = [(number, f"MARK-{number}-{'x' * chance.randrange(300)}") for number in range(2000)]
        chance.shuffle(rows)
        connection.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?)", rows)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if moved := {number for number, count in _found(path).items() if count > 1}:
            return moved


def _found(path: Path) -> Counter[int]:
    return Counter(map(int, re.findall(rb"MARK-([0-9]+)-", path.read_bytes())))


def test_old_dead_letters_that_a_reader_kept_go_at_the_next_look(tmp_path: Path) -> None:
    """It had no others to remove, and did nothing."""
    path = tmp_path / "dead-letters.db"
    with closing(SqliteDeadLetters(path)) as letters, closing(sqlite3.connect(path, isolation_level=None)) as reader:
        letters.add([DeadLetter(b"MARK-%d-" % number, "malformed_json", "", "log", 0, number, 1) for number in range(50)])
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM dead_letter").fetchone()
        letters._connection.execute("PRAGMA busy_timeout = 1")
        assert letters.remove_older(2) == 50
        reader.execute("COMMIT")
        assert letters.remove_older(2) == 0
        assert b"MARK" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
