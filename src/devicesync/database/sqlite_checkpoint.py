"""Checkpoints beside the work: SQLite's write-ahead log is copied into the database file by a thread of its own.

Left to itself, SQLite does this inside some unlucky commit. The copying needs no lock that writers want and no Python,
so it runs on another core.
"""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

_PAGES = 16_000
_LONGEST_WAL_BYTES = 256 << 20


class Checkpointer:
    """Told of every commit; not for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._written = 0
        self._wanted = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def committed(self, pages: int) -> None:
        """About so many pages were committed. Waits for a checkpoint only when the log has grown far too long."""
        self._written += pages
        if self._written < _PAGES:
            return
        self._written = 0
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
            self._thread.start()
        self._wanted.set()
        if self._wal.stat().st_size > _LONGEST_WAL_BYTES:
            self._checkpoint("RESTART")

    def close(self) -> None:
        """Finish the checkpoint under way, if any."""
        self._closing = True
        self._wanted.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._closing:
            self._wanted.clear()
            self._checkpoint("PASSIVE")

    def _checkpoint(self, kind: str) -> None:
        # Failing is no harm: the rows are safe in the log, and a later checkpoint does it. A full disk is told by commits.
        with suppress(sqlite3.OperationalError):
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=10.0)
            connection.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
            connection.close()
