"""A call of the system fails once, as where a process has no free descriptor, or a disk errs: then all goes on."""

import errno
from pathlib import Path
from typing import Any

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal import cursor
from tests.journal.opened import open_journal, reader_of, rest

NAME = "device-profile.log"
OURS = [(0, b"0000000"), (1, b"1"), (2, b"2")]


def _fail_once(patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    call = getattr(owner, name)

    def fails(*_: Any) -> Any:
        patch.setattr(owner, name, call)
        raise OSError(errno.EMFILE, "no free descriptor")

    patch.setattr(owner, name, fails)


def test_a_reader_gets_what_it_had_read_when_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segment had passed by it: acknowledged records were never applied, nor in a backup, and nothing told of it."""
    journal = open_journal(tmp_path, segment_bytes=8)
    reader = reader_of(journal, "updater")
    journal.append([OURS[0][1]])
    journal.append([b"1"])
    _fail_once(monkeypatch, cursor, "span_of")
    with pytest.raises(Unavailable):
        reader.poll(1, 0)
    assert rest(reader) == OURS[:2]
