"""What stands in the journal's place and is no file."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal.cursor import Cursor
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.lag import reader_lag
from tests.journal.opened import open_journal, reader_of


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_regular_file_in_the_journal_s_place_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Of a pipe that nobody writes one would wait for ever, whether to read or to append."""
    journal = open_journal(tmp_path)
    journal.append([b"one"])
    journal.append([b"two"])
    reader = reader_of(journal, "reader")
    (tmp_path / "device-profile.log").unlink()
    make(tmp_path / "device-profile.log")
    for use in (lambda: reader.poll(1, 0), lambda: journal.append([b"three"]), lambda: journal.newest(1).__next__()):
        with pytest.raises(Unavailable):
            use()


@pytest.mark.parametrize(
    "name",
    [
        "device-profile.log.times",
        f"device-profile.log.{0:020d}",
        "device-profile.log.reader.other",
        ".device-profile.log.id",
    ],
)
def test_the_file_that_is_none_is_named(tmp_path: Path, name: str) -> None:
    """It is not the journal, which is as it was."""
    open_journal(tmp_path).append([b"one"])
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(Unavailable, match=f"{re.escape(name)}: it is no regular file"):
        open_journal(tmp_path).reader("other")
    files = JournalFiles(tmp_path / "device-profile.log")
    for use in (files.read_position, files.read_store, partial(reader_lag, files)):
        with pytest.raises(Unavailable) if name.endswith("other") else suppress(Unavailable):
            use("other")


def test_an_identity_that_was_emptied_is_given_anew(tmp_path: Path) -> None:
    """Stores and backups then begin anew; with none, one journal could not be told from another."""
    open_journal(tmp_path).append([b"one"])
    before = (tmp_path / ".device-profile.log.id").read_bytes()
    (tmp_path / ".device-profile.log.id").write_bytes(b"\n")
    open_journal(tmp_path)
    assert len((tmp_path / ".device-profile.log.id").read_bytes()) == len(before)
    assert open_journal(tmp_path).survey().identity


def test_times_that_are_no_file_cost_no_descriptors(tmp_path: Path) -> None:
    """A reader tries again for as long as they are."""
    open_journal(tmp_path).append([b"one"])
    (tmp_path / "device-profile.log.times").unlink()
    os.mkfifo(tmp_path / "device-profile.log.times")
    cursor = Cursor(JournalFiles(tmp_path / "device-profile.log"), 0)
    opened = [*Path("/proc/self/fd").iterdir()]
    with pytest.raises(Unavailable):
        cursor.read(1)
    assert len([*Path("/proc/self/fd").iterdir()]) <= len(opened)  # other tests' may be closed meanwhile
