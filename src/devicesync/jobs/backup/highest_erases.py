"""The highest erase of each device in a range, in a local file: some MB of Parquet may have millions of them."""

import errno
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_LEAST_BYTES = 20
"""What an erasure has beside its id: two quotes, a colon, a comma, and 16 digits."""
_CACHE_KIB = 8 << 10
_MAKE = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -{_CACHE_KIB};
CREATE TABLE erased (device_id TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
BEGIN;
"""
_FIRST = "INSERT OR IGNORE INTO erased VALUES (?, ?)"
_HIGHER = "UPDATE erased SET version = ?2 WHERE device_id = ?1 AND version < ?2"


class HighestErases:
    """Takes some 8 MiB of memory. least_bytes: so many bytes they have as JSON, or more."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.least_bytes = 0

    def add(self, erases: Iterable[tuple[str, int]]) -> None:
        """Devices, and versions in µs. Of each device the highest counts."""
        for erase in erases:
            if not self._add_first(erase):
                self._database.execute(_HIGHER, erase)

    def add_missing(self, erases: Iterable[tuple[str, int]]) -> None:
        """The same, but a device that has one keeps it."""
        for erase in erases:
            self._add_first(erase)

    def _add_first(self, erase: tuple[str, int]) -> bool:
        """Add the erase of a device that has none yet. Return whether it was one."""
        is_first = self._database.execute(_FIRST, erase).rowcount > 0
        if is_first:
            self.least_bytes += _LEAST_BYTES + len(erase[0])
        return is_first

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Each device, and the version of its highest erase, in µs; by the ids."""
        yield from self._database.execute("SELECT device_id, version FROM erased ORDER BY device_id")


@contextmanager
def highest_erases(here: Path) -> Iterator[HighestErases]:
    """None at first; the file `here` is there until the end of the body. Raises OSError where it can't be written."""
    here.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(here, isolation_level=None)) as database:
            database.executescript(_MAKE)
            yield HighestErases(database)
    except sqlite3.Error as error:
        full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error), str(here)) from error
    finally:
        here.unlink(missing_ok=True)
