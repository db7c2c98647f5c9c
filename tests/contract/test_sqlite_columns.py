"""A SQLite file whose table is older, or newer, than the profile that the code declares."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import NewerData, Unavailable
from devicesync.law.event import Event
from devicesync.law.facets import MAP_FIELDS
from devicesync.law.state import state_of
from tests.end_to_end.command import Devicesync
from tests.law.strategies import BASE_US, values_of

OLDER = ("city", "uaspec_version", "uaspec")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database with one device, made before the profile had `city` and the facet `uaspec`."""
    path = tmp_path / "devicesync-data" / "device-profile.db"
    database = SqliteDatabase(path)
    database.merge({"old": state_of(Event("old", BASE_US, values=values_of(country_code="IN")))})
    database.close()
    with closing(sqlite3.connect(path)) as connection:
        for column in OLDER:
            connection.execute(f"ALTER TABLE device_profile DROP COLUMN {column}")
    return path


def test_columns_that_are_missing_are_added_when_it_is_opened(file: Path) -> None:
    """Whoever opens it to write adds them, and says so; the devices are as they were, and take the new fields."""
    with closing(SqliteDatabase(file)) as database:
        assert database.create() == [f"device_profile.{column}" for column in OLDER]
        (old,) = database.read(["old"]).values()
        assert [register for register in old.registers if register[0]] == [(BASE_US, ("IN",) + (None,) * 7)]
        newer = state_of(Event("old", BASE_US + 1, values=values_of("x", **dict.fromkeys(MAP_FIELDS, '{"a":"b"}'))))
        database.merge({"old": newer})
        assert database.read(["old"]) == {"old": newer}
    with closing(SqliteDatabase(file)) as database:
        assert database.create() == []
        assert database.read(["old"]) == {"old": newer}


def test_who_only_reads_says_what_is_missing(file: Path) -> None:
    """And changes nothing."""
    before = file.read_bytes()
    with pytest.raises(Unavailable, match="lacks city, uaspec_version, uaspec") as raised:
        SqliteDatabase(file, read_only=True)
    assert "devicesync init" in raised.value.hint
    assert file.read_bytes() == before


@pytest.mark.parametrize("made", [(), ("PRAGMA page_size = 2048", "PRAGMA journal_mode = WAL")])
def test_a_file_that_was_being_made_has_no_table_yet(file: Path, made: tuple[str, ...]) -> None:
    """A restore was killed meanwhile; the next one's --dry-run named every column that the table lacks."""
    file.unlink()
    file.touch()
    with closing(sqlite3.connect(file)) as connection:
        for statement in made:
            connection.execute(statement)
    with pytest.raises(Unavailable, match=r"device-profile\.db has no table of profiles yet") as raised:
        SqliteDatabase(file, read_only=True)
    assert "devicesync init" in raised.value.hint
    SqliteDatabase(file).close()
    SqliteDatabase(file, read_only=True).close()


def test_doctor_says_what_is_missing_and_init_adds_it(file: Path) -> None:
    """As a user meets it after an upgrade."""
    devicesync = Devicesync(file.parents[1])
    found = devicesync.run("doctor")
    assert found.returncode == 3
    assert b"lacks city, uaspec_version, uaspec" in found.stdout
    made = devicesync.run("init")
    assert made.returncode == 0
    assert (
        b"added to tables that were there: device_profile.city, device_profile.uaspec_version, device_profile.uaspec"
        in made.stderr
    )
    assert devicesync.run("doctor").returncode == 0
    assert devicesync.json("get", "old")["profile"]["country_code"] == "IN"


def test_a_newer_table_is_refused(file: Path) -> None:
    """Its columns would stay as they are while the facet around them changes: half a facet of each."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ALTER TABLE device_profile ADD COLUMN postal_code TEXT")
    for read_only in (True, False):
        with pytest.raises(NewerData, match="does not know: postal_code"):
            SqliteDatabase(file, read_only=read_only)
