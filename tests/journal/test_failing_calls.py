"""A call of the system fails once, as where a process has no free descriptor, or a disk errs: then all goes on."""

import errno
import fcntl
from pathlib import Path
from typing import Any

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal import cursor, segment, tail
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.lock import JournalLock
from devicesync.log.journal.segment import Segment
from devicesync.log.journal.times import Times
from tests.journal.opened import everything, open_below, open_journal, reader_of, rest

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


@pytest.mark.parametrize(
    ("owner", "name"),
    [(JournalFiles, "closed_firsts"), (Segment, "skip_to"), (Times, "_next"), (segment, "same_file")],
)
def test_a_segment_that_is_not_read_after_all_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Each try cost two descriptors: a process that had none left got none back."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    reader = reader_of(journal, "updater")
    before = open_below(tmp_path)
    _fail_once(monkeypatch, owner, name)
    with pytest.raises(Unavailable):
        reader.poll(1, 0)
    assert open_below(tmp_path) == before


def test_a_position_s_file_that_can_t_be_locked_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(tmp_path)
    before = open_below(tmp_path)
    _fail_once(monkeypatch, fcntl, "flock")
    with pytest.raises(Unavailable):
        journal.reader("updater")
    assert open_below(tmp_path) == before


def test_nor_is_one_kept_that_would_have_been_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader looks for it at the end of a closed one."""
    journal = open_journal(tmp_path, segment_bytes=8)
    journal.append([OURS[0][1]])
    reader = reader_of(journal, "updater")
    assert rest(reader) == OURS[:1]
    journal.append([b"1"])
    before = open_below(tmp_path)
    _fail_once(monkeypatch, JournalFiles, "identity_now")
    with pytest.raises(Unavailable):
        reader.poll(1, 0)
    assert len(open_below(tmp_path)) == len(before)
    assert rest(reader) == OURS[1:2]


def test_an_identity_that_can_t_be_looked_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network's file system: registrations got 500, and a traceback each."""
    open_journal(tmp_path)
    exists = Path.exists

    def fails(path: Path) -> bool:
        if path.name.endswith(".id"):
            raise OSError(errno.ESTALE, "stale file handle")
        return exists(path)

    monkeypatch.setattr(Path, "exists", fails)
    with pytest.raises(Unavailable, match="stale file handle"):
        JournalFiles(tmp_path / NAME).identity_now()


@pytest.mark.parametrize(("owner", "name"), [(tail, "open_regular"), (JournalFiles, "keep_identity")])
def test_who_writes_opens_all_of_it_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    """One that had its lines and not its times refused every registration until its end. One with no identity never gave it any."""
    journal = open_journal(tmp_path, segment_bytes=8)
    journal.append([OURS[0][1]])
    (tmp_path / f".{NAME}.id").unlink()
    call = getattr(owner, name)

    def fails(*given: Any) -> Any:
        if given[0] == tmp_path / f"{NAME}.times" or owner is JournalFiles:
            raise OSError(errno.EMFILE, "no free descriptor")
        return call(*given)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        with pytest.raises(Unavailable):
            journal.append([b"refused"])
    assert journal.append([b"1"]) == 1
    assert (tmp_path / f".{NAME}.id").exists()
    assert everything(journal) == OURS[:2]


def test_lines_whose_count_failed_are_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next record had the number of a line before it."""
    journal = open_journal(tmp_path)
    journal.append([OURS[0][1]])
    with (tmp_path / NAME).open("ab") as another:
        another.write(b"1\n")
    _fail_once(monkeypatch, tail, "count_lines")
    with pytest.raises(Unavailable):
        journal.append([b"refused"])
    assert journal.append([b"2"]) == 2
    assert everything(journal) == OURS


def test_a_lock_that_was_taken_in_vain_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other process waited for it until this one wrote again."""
    journal = open_journal(tmp_path)
    _fail_once(monkeypatch, JournalLock, "_is_there")
    with pytest.raises(Unavailable):
        journal.append([b"refused"])
    with (tmp_path / f"{NAME}.lock").open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
