"""A reader of the journal that is bound to a database of SQLite: it begins at the lesser of its own position and the database's."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from devicesync.database.sqlite import SqliteDatabase
from devicesync.log.journal import Journal
from tests.journal.opened import open_journal

ALL, LATER = [b"0", b"1", b"2"], [b"3"]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = open_journal(tmp_path)
    journal.append(ALL)
    return journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "device-profile.db"


@pytest.fixture(autouse=True)
def told() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as told:
        yield told


def take(journal: Journal, file: Path) -> list[bytes]:
    """What a bound reader gets, and commits."""
    with closing(SqliteDatabase(file)) as database, closing(journal.reader("updater")) as reader:
        reader.bind(database)
        records = reader.poll(100, 0)
        reader.commit()
    return [record.value or b"" for record in records]


def make_older(file: Path) -> None:
    """As a release has left the file whose databases did not know how much they have."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE applied")


def test_an_older_copy_gets_what_came_after_it(journal: Journal, file: Path, told: list[Any]) -> None:
    assert take(journal, file) == ALL
    shutil.copy(file, f"{file}.copy")
    journal.append(LATER)
    assert take(journal, file) == LATER
    assert take(journal, file) == []
    assert told == []
    shutil.move(f"{file}.copy", file)
    assert take(journal, file) == LATER
    assert [(line["from_record"], line["to_record"], line["hint"]) for line in told] == [(3, 4, "")]


def test_a_file_of_an_older_release_gets_nothing_again(journal: Journal, file: Path, told: list[Any]) -> None:
    """Its rows are believed to be there. From then on it is as every other."""
    SqliteDatabase(file).close()
    make_older(file)
    with closing(journal.reader("updater")) as reader:
        reader.poll(100, 0)
        reader.commit()
    shutil.copy(file, f"{file}.copy")
    journal.append(LATER)
    assert take(journal, file) == LATER
    assert take(journal, file) == []
    assert told == []
    shutil.move(f"{file}.copy", file)  # it lacks the table again, so its identity tells
    assert take(journal, file) == ALL + LATER


def test_another_journal_in_the_same_place_is_read_from_its_beginning(journal: Journal, file: Path, tmp_path: Path) -> None:
    """A position says nothing about it, and nor does the database."""
    assert take(journal, file) == ALL
    for each in [*tmp_path.glob("device-profile.log*"), tmp_path / ".device-profile.log.id"]:
        if "reader" not in each.name:
            each.unlink()
    another = open_journal(tmp_path)
    another.append(ALL + LATER)
    assert take(another, file) == ALL + LATER


def test_what_the_journal_has_no_more_a_backup_has(tmp_path: Path, file: Path, told: list[Any]) -> None:
    SqliteDatabase(file).close()
    shutil.copy(file, f"{file}.copy")
    journal = open_journal(tmp_path, segment_bytes=1, retention_seconds=0)
    for line in ALL:
        journal.append([line])
        assert take(journal, file) == [line]
    journal.append(LATER)
    shutil.move(f"{file}.copy", file)
    assert ALL[0] not in take(journal, file)
    assert "restore --to-stores" in told[-1]["hint"]
