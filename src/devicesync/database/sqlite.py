"""The embedded database: one SQLite file in WAL mode, one row a device.

The columns are those of the Cassandra table (docs/reference/stores.md) plus what the law needs: `version`, `erased` and one
version per facet. Maps are JSON text. A row with version 0 is an erased device's tombstone.
"""

import sqlite3
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from devicesync.database.port import Stored
from devicesync.database.sqlite_checkpoint import Checkpointer
from devicesync.durable import one_at_a_time
from devicesync.errors import NewerData, Replaced, Unavailable, WrongUse
from devicesync.law.facets import FACETS, SLICES
from devicesync.law.state import State, join
from devicesync.sqlite_reading import open_to_read

FORMAT = 1
_HEAD = ("version", "erased", "api_last_updated_on", "first_access", "user_declared_on")
_FACET_COLUMNS = tuple(column for facet in FACETS for column in (f"{facet.name}_version", *facet.fields))
# A facet that is one field of the same name ("uaspec") has its version in a column of its own all the same.
_COLUMNS = ("device_id", *_HEAD, *_FACET_COLUMNS)
_INTEGERS = {*_HEAD, *(f"{facet.name}_version" for facet in FACETS)}
_ROWID = 1  # a row as read begins with its rowid
_SPANS = tuple(
    slice(_ROWID + 1 + len(_HEAD) + where.start + spot, _ROWID + 1 + len(_HEAD) + where.stop + spot + 1)
    for spot, where in enumerate(SLICES)
)
# A rowid table on small pages, updated in place: with a million devices a write then dirties one page of 2 KiB, where
# WITHOUT ROWID rebalances neighbours too (1.5 pages of 4 KiB) and costs twice as much.
_CREATE = "CREATE TABLE IF NOT EXISTS device_profile ({}, PRIMARY KEY (device_id))".format(
    ", ".join(f"{column} INTEGER NOT NULL" if column in _INTEGERS else f"{column} TEXT" for column in _COLUMNS)
)
_CREATE_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)"
_GIVE_IDENTITY = "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)"
_HAS_IDENTITY = "SELECT 1 FROM sqlite_master WHERE name = 'identity'"
_PAGE_BYTES = 2048
_SELECT = f"SELECT rowid, {', '.join(_COLUMNS)} FROM device_profile WHERE device_id IN (SELECT value FROM json_each(?))"
_SCAN = "SELECT rowid, device_id FROM device_profile WHERE rowid > ? ORDER BY rowid LIMIT ?"
_SCANNED = 500
_INSERT = f"INSERT INTO device_profile VALUES ({', '.join('?' * len(_COLUMNS))})"
# By rowid: the index was searched by the read already, and its pages need not come into memory again.
_SET = ", ".join(f"{column} = ?{spot}" for spot, column in enumerate(_COLUMNS[1:], 2))
_UPDATE = f"UPDATE device_profile SET {_SET} WHERE rowid = ?1"
_CACHE_KIB = 12 * 1024
_BUSY_SECONDS = 10.0


class SqliteDatabase:
    """See port.Database. For one thread; `read_only` neither creates nor changes the file."""

    merges_in_place = True
    ranges = 1
    identity = ""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._checkpointer = Checkpointer(path)
        with self._failures("open"):
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = (
                open_to_read(path, _BUSY_SECONDS)
                if read_only
                else sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
            )
            self._prepare(read_only=read_only)
        self._inode = _inode(path)

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        self._check_that_it_is_there()
        with self._failures("write to"), self._transaction():
            held = self._rows(list(changes))
            updates, inserts = [], []
            for device_id, change in changes.items():
                if device_id not in held:
                    held[device_id] = 0, change
                    inserts.append(_row(device_id, change))
                    continue
                rowid, before = held[device_id]
                after = join(before, change)
                if after is not before:
                    held[device_id] = rowid, after
                    updates.append((rowid, *_row(device_id, after)[1:]))
            # Neighbours on disk one after the other.
            updates.sort()
            inserts.sort()
            self._connection.executemany(_UPDATE, updates)
            self._connection.executemany(_INSERT, inserts)
        erased = any(change.erased for change in changes.values())
        self._checkpointer.committed(len(updates) + len(inserts), erased=erased)
        return {device_id: state for device_id, (_, state) in held.items()}

    def settle(self, states: Mapping[str, State]) -> None:
        """See port.Database."""
        self.merge(states)

    def look(self, device_ids: Collection[str]) -> Stored:
        """See port.Database."""
        return Stored(self.read([*device_ids]), [])

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        with self._failures("read"):
            return {device_id: state for device_id, (_, state) in self._rows(device_ids).items()}

    def scan(self, number: int) -> Iterator[list[str]]:
        """See port.Database."""
        del number
        last = 0
        while True:
            with self._failures("read"):
                rows = self._connection.execute(_SCAN, (last, _SCANNED)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [row[1] for row in rows]

    def check(self) -> None:
        """See port.Database. Raises Replaced where the file is another by now."""
        self._check_that_it_is_there()
        with self._failures("read"):
            self._connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM device_profile LIMIT 1").fetchall()

    def close(self) -> None:
        """See port.Database."""
        self._checkpointer.close()
        self._connection.close()

    def _prepare(self, *, read_only: bool) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (found,) = execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise NewerData(f"{self._path} has format {found}; this devicesync knows {FORMAT}", "upgrade devicesync")
        if not read_only:
            with one_at_a_time(self._path.parent):
                self._make()
            execute("PRAGMA synchronous = FULL")
            execute("PRAGMA wal_autocheckpoint = 0")
            execute("PRAGMA secure_delete = ON")  # what is erased is overwritten, in the page and in free ones
            self._checkpointer.opened()
        if execute(_HAS_IDENTITY).fetchone():
            ((self.identity,),) = execute("SELECT id FROM identity").fetchall()

    def _make(self) -> None:
        """What is not there yet."""
        execute = self._connection.execute
        (found,) = execute("PRAGMA user_version").fetchone()
        if found < FORMAT:
            execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            execute("PRAGMA journal_mode = WAL")
        if found < FORMAT or not execute(_HAS_IDENTITY).fetchone():
            with self._transaction():
                execute(_CREATE)
                execute(_CREATE_IDENTITY)
                execute(_GIVE_IDENTITY, (uuid.uuid4().hex,))
                execute(f"PRAGMA user_version = {FORMAT}")

    def _rows(self, device_ids: Sequence[str]) -> dict[str, tuple[int, State]]:
        rows = self._connection.execute(_SELECT, (msgspec.json.encode(device_ids).decode(),))
        return {row[1]: (row[0], _state(row)) for row in rows}

    def _check_that_it_is_there(self) -> None:
        """SQLite would go on in a file that is deleted, and lose it all with the process."""
        if _inode(self._path) != self._inode:
            raise Replaced(
                f"the database {self._path} was deleted, or replaced by another, while it was worked with",
                "start again: then the journal is applied to the one that is there",
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = (
                "free some space; work goes on when there is room"
                if "full" in str(error)
                else "check the path and its permissions"
            )
            raise Unavailable(f"can't {what} the database {self._path}: {error}", hint) from error
        except sqlite3.DatabaseError as error:
            raise WrongUse(
                f"{self._path} is not a database of devicesync: {error}", "name another file with --database sqlite:PATH"
            ) from error


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _row(device_id: str, state: State) -> tuple[Any, ...]:
    location, declared, spec, agent, token, producer = state.registers
    return (
        device_id, state[0], state[1], state[2], state[3], state[4],
        location[0], *location[1], declared[0], *declared[1],
        spec[0], *spec[1], agent[0], *agent[1], token[0], *token[1], producer[0], *producer[1],
    )  # fmt: skip


def _state(row: tuple[Any, ...]) -> State:
    registers = [(row[span.start], row[span.start + 1 : span.stop]) for span in _SPANS]
    return State(row[2], row[3], row[4], row[5], row[6], tuple(registers))
