"""The embedded database: one SQLite file in WAL mode, one row a device.

The columns are those of the Cassandra table (docs/reference/stores.md) plus what the law needs: `version`, `erased` and one
version per facet. Maps are JSON text. A row with version 0 is an erased device's tombstone.
"""

import sqlite3
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devicesync.database import sqlite_applied, sqlite_main_file, sqlite_rows
from devicesync.database import sqlite_table as table
from devicesync.database.port import Stored
from devicesync.database.sqlite_checkpoint import Checkpointer
from devicesync.database.sqlite_main_file import MainFile, refuse_wal_of_another
from devicesync.durable import check_room, hint_for, one_at_a_time
from devicesync.errors import NewerData, Unavailable, WrongUse
from devicesync.few import few_at_once
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State
from devicesync.sqlite_reading import open_to_read
from devicesync.sqlite_transaction import transaction, unsynced

FORMAT = 1
_CREATE_IDENTITY = "CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL)"
_GIVE_IDENTITY = "INSERT INTO identity SELECT ? WHERE NOT EXISTS (SELECT 1 FROM identity)"
_CHANGE_IDENTITY = "UPDATE identity SET id = ?"
_IDENTITY = "SELECT id FROM identity"
_HAS_IDENTITY = "SELECT 1 FROM sqlite_master WHERE name = 'identity'"
_PAGE_BYTES = 2048
_SCANNED = 500
_CACHE_KIB = 12 * 1024
_BUSY_SECONDS = 10.0
_DAMAGED = "move it and its -wal away: then the log is applied again; what the log has no more, a backup has"


class SqliteDatabase:
    """See port.Database. For one thread; `read_only` neither creates nor changes the file."""

    merges_in_place = True
    ranges = 1
    threads = 1
    identity = ""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._main_file = MainFile(path)
        self._checkpointer = Checkpointer(self._main_file)
        self._added: list[str] = []
        with self._failures("open"):
            if not read_only:
                path.parent.mkdir(parents=True, exist_ok=True)
                refuse_wal_of_another(path)
            self._connection = (
                open_to_read(path, _BUSY_SECONDS)
                if read_only
                else sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
            )
            with ExitStack() as on_error:
                on_error.callback(self.close)
                self._prepare(read_only=read_only)
                on_error.pop_all()

    def create(self) -> list[str]:
        """See port.Database. All was made when the file was opened."""
        return [f"device_profile.{column}" for column in self._added]

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        self._main_file.check()
        with self._failures("write to"), self._main_file.commit(self._connection):
            joined, written = sqlite_rows.merge(self._connection, changes)
        erased = any(change.erased for change in changes.values())
        self._checkpointer.committed(written, erased=erased)
        return joined

    def settle(self, states: Mapping[str, State]) -> None:
        """See port.Database."""
        left = dict(states)
        while left:
            done = self.merge(left)
            left = {device_id: state for device_id, state in left.items() if device_id not in done}

    def look(self, device_ids: Collection[str]) -> Stored:
        """See port.Database."""
        return Stored(self.read([*device_ids]), [])

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        with self._failures("read"):
            return {device_id: state for device_id, (_, state) in sqlite_rows.read(self._connection, device_ids).items()}

    def scan(self, number: int) -> Iterator[list[str]]:
        """See port.Database."""
        del number
        last = 0
        while True:
            with self._failures("read"):
                rows = self._connection.execute(table.SCAN, (last, _SCANNED)).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield [row[1] for row in rows]

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Database."""
        return {device_id: seen_of(state) for device_id, state in self.read(device_ids).items()}

    def seen_in(self, number: int) -> Iterator[dict[str, Seen]]:
        """See port.Database."""
        return (self.seen(few) for ids in self.scan(number) for few in few_at_once(ids))

    def range_of(self, device_id: str) -> int:
        """See port.Database."""
        del device_id
        return 0

    def applied(self, log: str) -> int | None:
        """See port.Database."""
        with self._failures("read"):
            return sqlite_applied.position(self._connection, log)

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        """See port.Database.

        A file of an older release gets the table, and another identity: an older copy of it lacks the table, and has the former.
        """
        self._main_file.check()
        with self._failures("write to"), unsynced(self._connection), self._main_file.commit(self._connection):
            if not sqlite_applied.is_kept(self._connection):
                self._connection.execute(sqlite_applied.CREATE)
                self._connection.execute(_CHANGE_IDENTITY, (uuid.uuid4().hex,))
            self._connection.executemany(sqlite_applied.KEEP, positions.items())
            ((identity,),) = self._connection.execute(_IDENTITY)  # which another process may have changed so
        self.identity = identity
        self._checkpointer.committed(1, erased=False)

    def check(self) -> None:
        """See port.Database. Raises Replaced where the file is another by now."""
        self._main_file.check()
        check_room(self._path.parent)
        with self._failures("read"):
            self._connection.execute(f"SELECT {', '.join(table.COLUMNS)} FROM device_profile LIMIT 1").fetchall()

    def close(self) -> None:
        """See port.Database."""
        self._checkpointer.close()
        self._main_file.close(self._connection)

    def _prepare(self, *, read_only: bool) -> None:
        execute = self._connection.execute
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        (found,) = execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise NewerData(f"{self._path} has format {found}; this devicesync knows {FORMAT}", "upgrade devicesync")
        if read_only:
            self._main_file.found()
            if lacking := self._lacking():
                has_none = len(lacking) == len(table.COLUMNS)  # whoever was making the file was killed
                what = "has no table of profiles yet" if has_none else f"has a table that lacks {', '.join(lacking)}"
                raise Unavailable(f"the database {self._path} {what}", "`devicesync init` makes what is missing")
        else:
            with one_at_a_time(self._path.parent):
                self._make()
            execute("PRAGMA synchronous = FULL")
            execute("PRAGMA wal_autocheckpoint = 0")
            execute("PRAGMA secure_delete = ON")  # what is erased is overwritten, in the page and in free ones
            self._main_file.opened(self._connection)
            self._checkpointer.opened()
        if execute(_HAS_IDENTITY).fetchone():
            ((self.identity,),) = execute(_IDENTITY).fetchall()

    def _make(self) -> None:
        """What is not there yet."""
        execute = self._connection.execute
        (found,) = execute("PRAGMA user_version").fetchone()
        if found < FORMAT:
            execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            execute("PRAGMA journal_mode = WAL")
        lacks_counts = execute(sqlite_main_file.LACKS).fetchone()
        if found < FORMAT or not execute(_HAS_IDENTITY).fetchone() or lacks_counts:
            with transaction(self._connection):
                execute(table.CREATE)
                if found < FORMAT:
                    execute(sqlite_applied.CREATE)
                execute(_CREATE_IDENTITY)
                execute(_GIVE_IDENTITY, (uuid.uuid4().hex,))
                if lacks_counts:
                    for statement in sqlite_main_file.CREATE:
                        execute(statement)
                    execute(sqlite_main_file.COUNT, (0,))
                execute(f"PRAGMA user_version = {FORMAT}")
        self._added = self._lacking()
        for column in self._added:
            execute(table.ADD[column])

    def _lacking(self) -> list[str]:
        """The columns that the table has not, for it is older than they are. Raises NewerData where it has others."""
        there = {str(name) for (name,) in self._connection.execute(table.THERE)}
        unknown = sorted(there.difference(table.COLUMNS))
        if unknown:  # to go on would leave them as they are, while the facet around them changes
            raise NewerData(
                f"{self._path} has columns that this devicesync does not know: {', '.join(unknown)}", "upgrade devicesync"
            )
        return [column for column in table.COLUMNS if column not in there]

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = hint_for(self._path, full="full" in str(error))
            raise Unavailable(f"can't {what} the database {self._path}: {error}", hint) from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
                raise WrongUse(f"the database {self._path} is damaged: {error}", _DAMAGED) from error
            raise WrongUse(
                f"{self._path} is not a database of devicesync: {error}", "name another file with --database sqlite:PATH"
            ) from error
