"""What stands in the journal's place and is no file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from devicesync.errors import Unavailable
from tests.journal.opened import open_journal, reader_of


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_regular_file_in_the_journal_s_place_is_told(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Of a pipe that nobody writes one would wait for ever, whether to read or to append."""
    journal = open_journal(tmp_path)
    journal.append([b"one"])
    reader = reader_of(journal, "reader")
    (tmp_path / "device-profile.log").unlink()
    make(tmp_path / "device-profile.log")
    for use in (lambda: reader.poll(1, 0), lambda: journal.append([b"two"]), lambda: journal.newest(1).__next__()):
        with pytest.raises(Unavailable):
            use()
