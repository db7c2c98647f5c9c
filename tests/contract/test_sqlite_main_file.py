"""A file that somebody copies into the SQLite database while it is open, or to its place beside a newer -wal.

Random steps: whatever comes, each device up to the position that the file tells is there.
"""

import errno
import random
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.database import sqlite_main_file
from devicesync.database.sqlite import SqliteDatabase
from devicesync.database.sqlite_checkpoint import Checkpointer
from devicesync.durable import beginning_of
from devicesync.errors import Replaced, Unavailable, WrongUse
from devicesync.law.event import Event
from devicesync.law.state import state_of
from tests.law.strategies import BASE_US, values_of

_LOG, _STEPS = "log", 60


class Life:
    """A database file, and what people and crashes do to it. Device n is record n of the log."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.lives = 0
        self._chance, self._directory = chance, directory
        self._position = 0
        self._is_put_back = self._is_half = False
        self._copy: Path | None = None
        self.is_put_back_at_crashes = True
        self._path = directory / "0" / "device-profile.db"
        self._open()

    def write(self) -> None:
        """The next records of the log. A crash may come before their position is kept."""
        end = self._position + self._chance.choice((1, 5, 40))
        changes = {
            str(each): state_of(Event(str(each), BASE_US, values=values_of(city="Pune" * self._chance.choice((1, 99)))))
            for each in range(self._position, end)
        }
        try:
            self._database.merge(changes)
            if self._chance.random() < 0.8:
                self._database.keep_applied({_LOG: end})
                self._position = end
        except Replaced:
            assert self._is_put_back
            self.crash()

    def _before(self, statement: str) -> None:
        """The thread that makes checkpoints may make one between any two commits."""
        if statement.startswith("BEGIN") and self._chance.random() < 0.3:
            self.checkpoint()

    def checkpoint(self) -> None:
        self._database._checkpointer._checkpoint(self._chance.choice(("PASSIVE", "TRUNCATE")), 0)

    def checkpoint_outside(self) -> None:
        """As `devicesync init` makes one, or SQLite's own shell."""
        if self._is_put_back or self._is_half:
            return
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute(f"PRAGMA wal_checkpoint({self._chance.choice(('PASSIVE', 'TRUNCATE'))})").fetchall()

    def copy(self) -> None:
        """As `cp` does, of a file that is whole."""
        if self._is_half:
            return
        self._copy = self._directory / "copy.db"
        subprocess.run(["cp", self._path, self._copy], check=True)  # in this process it would take locks from SQLite

    def put_back(self) -> None:
        if self._copy:
            self._is_put_back, self._is_half = True, False
            subprocess.run(["cp", self._copy, self._path], check=True)

    def checkpoint_by_half(self) -> None:
        """As on a full disk: the file has the first pages of a checkpoint, and may say that it has more pages than it has."""
        if self._is_put_back:
            return
        whole = self._directory / "whole.db"
        for suffix in ("", "-wal"):
            subprocess.run(["cp", f"{self._path}{suffix}", f"{whole}{suffix}"], check=False, stderr=subprocess.DEVNULL)
        with closing(sqlite3.connect(whole)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._is_half = True
        half = ["conv=notrunc", "bs=2048", f"count={self._chance.randint(1, 20)}", "status=none"]
        subprocess.run(["dd", f"if={whole}", f"of={self._path}", *half], check=True)
        self._database.check()

    def open_again(self) -> None:
        if self._is_put_back:
            self.crash()  # it stays open, so that nothing of it is written any more
            return
        self.close()
        self._is_half = False
        self._open()

    def crash(self) -> None:
        """What is on the disk is all that the next life has."""
        self.lives += 1
        there = self._directory / str(self.lives)
        there.mkdir()
        for name in ("device-profile.db", "device-profile.db-wal"):
            if (self._path.parent / name).exists():
                shutil.copy(self._path.parent / name, there)
        self.close()
        self._path = there / "device-profile.db"
        if self.is_put_back_at_crashes and self._copy and self._chance.random() < 0.3:
            self.put_back()
        self._open()

    def close(self) -> None:
        self._database.close()

    def _open(self) -> None:
        try:
            self._database = SqliteDatabase(self._path)
        except Replaced:
            assert self._is_put_back
            for suffix in ("-wal", "-shm"):  # as the message says
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)
            self._database = SqliteDatabase(self._path)
        self._is_put_back = False
        self._database._connection.set_trace_callback(self._before)
        self._position = self._database.applied(_LOG) or 0
        ids = [str(each) for each in range(self._position)]
        assert self._database.read(ids).keys() == set(ids)
        with closing(sqlite3.connect(self._path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("seed", range(60))
def test_what_a_file_tells_it_has_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(Checkpointer, "opened", lambda _: None)  # no `cp` comes in the middle of a checkpoint
    chance = random.Random(seed)
    is_short = seed % 3 == 0  # of descriptors: then an older copy may not be told, but nothing else is taken for one

    def beginning(path: Path, size: int) -> bytes:
        if is_short and chance.random() < 0.1:
            raise OSError(errno.EMFILE, "no free descriptor")
        return beginning_of(path, size)

    monkeypatch.setattr(sqlite_main_file, "beginning_of", beginning)
    life = Life(tmp_path, chance)
    life.is_put_back_at_crashes = not is_short
    steps = [life.write] * 6 + [life.checkpoint] * 3 + [life.copy, life.open_again, life.crash]
    steps += [] if is_short else [life.put_back]
    steps += [life.checkpoint_by_half, life.checkpoint_outside] * 2
    for _ in range(_STEPS):
        chance.choice(steps)()
    life.close()


@pytest.mark.parametrize("page", [*range(1, 20), 40, -1])
def test_a_damaged_page_is_told(tmp_path: Path, page: int) -> None:
    """Also one that only a reader meets."""
    path = tmp_path / "device-profile.db"
    changes = {str(each): state_of(Event(str(each), BASE_US, values=values_of(city="Pune"))) for each in range(1000)}
    with closing(SqliteDatabase(path)) as database:
        database.merge(changes)
    pages = path.stat().st_size // 2048
    with path.open("r+b") as file:
        file.seek(page % pages * 2048)
        file.write(random.Random(page).randbytes(2048))

    def use() -> None:
        with closing(SqliteDatabase(path)) as database:
            database.read([*changes])
            database.keep_applied({_LOG: 1000})

    with pytest.raises(WrongUse, match="is damaged"):
        use()


def test_a_copy_that_an_older_release_made_and_sqlite_itself_restores_is_told(tmp_path: Path) -> None:
    """`.restore` under a running process. Before commits were counted the file had no table for that."""
    database = SqliteDatabase(tmp_path / "device-profile.db")
    with closing(sqlite3.connect(tmp_path / "device-profile.db", isolation_level=None)) as other:
        other.execute("DROP TABLE commits")
    with pytest.raises(Replaced, match="older copy"):
        database.merge({"a": state_of(Event("a", BASE_US, values=values_of(city="Pune")))})
    assert not database.read(["a"])
    database.close()
    with closing(SqliteDatabase(tmp_path / "device-profile.db")) as again:
        again.merge({"a": state_of(Event("a", BASE_US, values=values_of(city="Pune")))})
        assert again.read(["a"])


def test_an_older_copy_that_sqlite_restores_before_the_first_commit_is_told(tmp_path: Path) -> None:
    """`up` had just been started: 300 of 405 registrations were gone, and nothing said so."""
    path, copy = tmp_path / "device-profile.db", tmp_path / "copy.db"
    with closing(SqliteDatabase(path)) as database:
        database.keep_applied({_LOG: 1})
        restore(path, copy)
        database.keep_applied({_LOG: 2})
    with closing(SqliteDatabase(path)) as database:
        restore(copy, path)
        with pytest.raises(Replaced, match="older copy"):
            database.keep_applied({_LOG: 3})


@pytest.mark.parametrize("kind", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_an_older_copy_that_comes_after_another_process_made_a_checkpoint_is_told(tmp_path: Path, kind: str) -> None:
    """SQLite began the -wal anew: 200 of 440 registrations were gone, and the next start took the file for a good one."""
    path, copy = tmp_path / "device-profile.db", tmp_path / "copy.db"
    database = SqliteDatabase(path)
    database.keep_applied({_LOG: 1})
    database._checkpointer._checkpoint("TRUNCATE")
    subprocess.run(["cp", path, copy], check=True)
    for position in range(2, 9):
        database.keep_applied({_LOG: position})
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA wal_checkpoint({kind})").fetchall()
    subprocess.run(["cp", copy, path], check=True)
    with pytest.raises(Replaced, match="older copy"):
        database.keep_applied({_LOG: 9})
    database.close()
    if kind == "TRUNCATE":  # told before SQLite began the -wal anew
        return
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{tmp_path}/killed.db{suffix}")
    with pytest.raises(Replaced, match="which is an older copy"):
        SqliteDatabase(tmp_path / "killed.db")


@pytest.mark.parametrize("how", ["under it", "by sqlite", "beside its -wal"])
def test_another_database_in_its_place_is_told_however_many_commits_it_has(tmp_path: Path, how: str) -> None:
    """Its pages and ours were mixed."""
    path, other = tmp_path / "device-profile.db", tmp_path / "other.db"
    with closing(SqliteDatabase(other)) as database:
        for position in range(9):
            database.keep_applied({_LOG: position})
    SqliteDatabase(path).close()
    database = SqliteDatabase(path)
    database.keep_applied({_LOG: 1})
    if how == "by sqlite":
        restore(other, path)
    elif how == "under it":
        subprocess.run(["cp", other, path], check=True)
    else:
        there = tmp_path / "killed.db"
        shutil.copy(other, there)
        shutil.copy(f"{path}-wal", f"{there}-wal")
        with pytest.raises(Replaced, match="which is another database"):
            SqliteDatabase(there)
        return
    with pytest.raises(Replaced, match="another database was written into"):
        database.keep_applied({_LOG: 2})


def test_a_link_to_itself_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "device-profile.db").symlink_to("device-profile.db")
    with pytest.raises(Unavailable, match="can't open the database"):
        SqliteDatabase(tmp_path / "device-profile.db")


def restore(source: Path, target: Path) -> None:
    """As `.backup` and `.restore` of SQLite's shell do."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)
