"""The dead letters of one machine: a SQLite file in the data directory."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devicesync.clock import SYSTEM
from devicesync.dead_letters.port import DeadLetter, kept, listed
from devicesync.durable import hint_for, one_at_a_time
from devicesync.errors import Unavailable
from devicesync.printable import encodable
from devicesync.sqlite_old_pages import forget_old_pages, tell_that_they_stay
from devicesync.sqlite_reading import open_to_read
from devicesync.sqlite_transaction import transaction

_NAMES = DeadLetter._fields[:-2]  # a journal has no keys, and a letter that is kept has its id
_FIELDS = ", ".join(_NAMES)
_BUSY_SECONDS = 10.0
_LATE_MS = 3_600_000
"""So late at most a letter is found to be old, while a process runs."""
_CREATE = """
    CREATE TABLE IF NOT EXISTS dead_letter (
        id TEXT PRIMARY KEY, value BLOB NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
        source TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL, time_ms INTEGER NOT NULL
    )
"""


class SqliteDeadLetters:
    """See port.DeadLetters. For one thread; `read_only` neither creates nor changes the file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._has_old_pages = False
        with self._failures("open"):
            if read_only:
                self._connection = open_to_read(path, _BUSY_SECONDS)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
            with one_at_a_time(path.parent):
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute(_CREATE)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """See port.DeadLetters."""
        if not letters:
            return
        with self._failures("write to"), transaction(self._connection):
            self._connection.executemany(
                f"INSERT OR REPLACE INTO dead_letter (id, {_FIELDS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                # A journal has no null records; one of a restored topic is known by its detail.
                [(letter.id, letter.value or b"", *letter[1 : len(_NAMES)]) for letter in map(kept, letters)],
            )

    def find(self, *, reason: str | None = None, limit: int | None = None) -> tuple[int, list[DeadLetter]]:
        """See port.DeadLetters."""
        where, values = ("", []) if reason is None else ("WHERE reason = ?", [encodable(reason)])
        with self._failures("read"):
            (total,) = self._connection.execute(f"SELECT count(*) FROM dead_letter {where}", values).fetchone()
            rows = self._connection.execute(
                f"SELECT {_FIELDS} FROM dead_letter {where} ORDER BY time_ms DESC, offset DESC LIMIT ?",
                [*values, -1 if limit is None else limit],
            )
            count = total if limit is None else min(limit, total)
            return total, [listed(DeadLetter(*row), count) for row in rows]

    def each(self, reason: str | None = None) -> Iterator[DeadLetter]:
        """See port.DeadLetters."""
        where, values = ("", []) if reason is None else ("WHERE reason = ?", [encodable(reason)])
        with self._failures("read"):
            ids = [letter_id for (letter_id,) in self._connection.execute(f"SELECT id FROM dead_letter {where}", values)]
        return (letter for letter_id in ids if (letter := self.get(letter_id)))

    def get(self, letter_id: str) -> DeadLetter | None:
        """See port.DeadLetters."""
        with self._failures("read"):
            row: tuple[Any, ...] | None = self._connection.execute(
                f"SELECT {_FIELDS} FROM dead_letter WHERE id = ?", (encodable(letter_id),)
            ).fetchone()
        return DeadLetter(*row) if row else None

    def remove(self, letter_ids: Sequence[str]) -> None:
        """See port.DeadLetters."""
        with self._failures("write to"):
            self._connection.executemany("DELETE FROM dead_letter WHERE id = ?", [(letter_id,) for letter_id in letter_ids])
            self._forget_old_pages()

    def remove_older(self, before_ms: int) -> int:
        """See port.DeadLetters."""
        with self._failures("write to"):
            now_ms = SYSTEM.now_ms()
            removed = self._connection.execute("DELETE FROM dead_letter WHERE time_ms < ?", (before_ms,)).rowcount
            if self._seen_ahead_ms(now_ms, before_ms) < before_ms:
                removed += self._connection.execute("DELETE FROM dead_letter WHERE time_ms > ?", (now_ms,)).rowcount
            if removed or self._has_old_pages:
                self._forget_old_pages()
            return removed

    def close(self) -> None:
        """See port.DeadLetters."""
        self._connection.close()

    def _seen_ahead_ms(self, now_ms: int, before_ms: int) -> int:
        """When letters of later than now were seen first; now_ms where there are none.

        A clock was ahead when they were refused, or this one is behind: so they keep their time. When that was seen stands in the
        file's user_version, in s; 0 where there are none. Where that is long before before_ms, another clock noted it.
        """
        (is_ahead,) = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM dead_letter WHERE time_ms > ?)", (now_ms,)
        ).fetchone()
        (noted,) = self._connection.execute("PRAGMA user_version").fetchone()
        now = now_ms // 1000 if is_ahead else 0
        seen = min(noted, now) if noted * 1000 > before_ms - _LATE_MS else now
        if seen != noted:
            self._connection.execute(f"PRAGMA user_version = {seen}")
        return seen * 1000 if is_ahead else now_ms

    def _forget_old_pages(self) -> None:
        """They have what was deleted, too. Where somebody reads the file just now, the next one to come here does it."""
        self._has_old_pages = not forget_old_pages(self._connection, self._path)
        if self._has_old_pages:
            tell_that_they_stay(self._path)

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = hint_for(self._path, full="full" in str(error))
            raise Unavailable(f"can't {what} the dead letters in {self._path}: {error}", hint) from error
