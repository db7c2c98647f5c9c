"""Checkpoints beside the work: SQLite's write-ahead log is copied into the database file by a thread of its own.

Left to itself, SQLite does this inside some unlucky commit. The copying needs no lock that writers want and no Python,
so it runs on another core. After an erase the log is emptied too: it still has what was erased.
"""

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from devicesync.database.sqlite_main_file import MainFile
from devicesync.errors import Replaced
from devicesync.sqlite_old_pages import forget_old_pages, tell_that_they_stay
from devicesync.sqlite_reading import wal_of

_PAGES = 16_000
_LONGEST_WAL_BYTES = 256 << 20
_EMPTY_SECONDS = 2.0
_BUSY_SECONDS = 10.0
_CLOSING_BUSY_SECONDS = 1.0


class Checkpointer:
    """Makes the checkpoints of one connection, which tells it of every commit. Not for several threads."""

    def __init__(self, main_file: MainFile) -> None:
        self._main_file = main_file
        self._pages = 0
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._has_erased = False
        self._thread: threading.Thread | None = None

    def opened(self) -> None:
        """Empty the log soon that a killed process has left: what it has may be erased by now."""
        if self._main_file.has_wal():
            self._empty_soon()

    def committed(self, pages: int, *, erased: bool) -> None:
        """Note that about so many pages were committed, erases among them or not. Waits only when the log is far too long."""
        self._pages += pages
        if erased:
            self._empty_soon()
        if self._pages < _PAGES:
            return
        self._pages = 0
        self._wake()
        if wal_of(self._main_file.path).stat().st_size > _LONGEST_WAL_BYTES:
            self._checkpoint("RESTART")

    def close(self) -> None:
        """Finish the checkpoint under way, if any, and empty the log where that is due. Tell where that can't be done."""
        self._over.set()
        self._wanted.set()
        if self._thread:
            self._thread.join()
        if self._has_erased and self._checkpoint("TRUNCATE", _CLOSING_BUSY_SECONDS) is False:
            tell_that_they_stay(self._main_file.path)

    def _empty_soon(self) -> None:
        self._has_erased = True
        self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()
        self._wanted.set()

    def _run(self) -> None:
        while self._wanted.wait() and not self._over.is_set():
            self._wanted.clear()
            self._checkpoint("PASSIVE")
            if self._has_erased and not self._over.wait(_EMPTY_SECONDS):  # erases mostly come together
                self._empty()

    def _empty(self) -> None:
        self._has_erased = False
        self._checkpoint("PASSIVE")  # the most of it without keeping writers waiting
        if not self._checkpoint("TRUNCATE"):
            self._empty_soon()

    def _checkpoint(self, kind: str, busy_seconds: float = _BUSY_SECONDS) -> bool | None:
        """Whether all of it was done; None where it failed.

        That is no harm: a later one does it, and commits tell of a full disk, or of a torn or another file.
        """
        with suppress(sqlite3.DatabaseError, Replaced), closing(_connect(self._main_file.path, busy_seconds)) as connection:
            with self._main_file.checkpoint():
                if kind == "TRUNCATE":
                    return forget_old_pages(connection, self._main_file.path)
                ((busy, _, _),) = connection.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
            return not busy
        return None


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    # By a URI, which makes no file where there is none.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=busy_seconds)
