"""A journal that is begun anew where another one was: its identity is another, for its numbers may come again."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from devicesync.log.journal.files import JournalFiles
from tests.journal.opened import everything, open_journal, reader_of, rest

NAME = "device-profile.log"


def take_away(directory: Path, *patterns: str, by: Callable[[Path], None] = Path.unlink) -> None:
    """All files of these names."""
    for file in [file for pattern in patterns for file in directory.glob(pattern)]:
        by(file)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def test_who_reads_goes_on_with_a_journal_that_another_process_has_made_anew(tmp_path: Path) -> None:
    """Its numbers begin at 0 again, below the reader's: that stood still for good, and nobody said a word."""
    one, idle = open_journal(tmp_path, segment_bytes=60), open_journal(tmp_path, segment_bytes=60)
    reader = reader_of(one, "updater")
    for number in range(10):
        one.append([b"former-%d" % number] * 2)
    rest(reader)
    reader.commit()
    for file in tmp_path.glob(f"{NAME}*"):
        file.unlink()
    with structlog.testing.capture_logs() as told:
        for number in range(20):
            idle.append([b"next-%d" % number] * 2)
        one.end()
    assert [line["log_level"] for line in told] == ["error"] * 2
    assert [value for _, value in rest(reader)] == [b"next-%d" % (number // 2) for number in range(40)]
    reader.commit()
    assert one.append([b"and then"]) == 40
    assert rest(reader) == [(40, b"and then")]


@pytest.mark.parametrize("is_open", [False, True])
def test_a_journal_of_which_all_is_gone_is_another_one(tmp_path: Path, *, is_open: bool) -> None:
    """A backup took it for the former one, and left out as many of its records as that had. Also to who has it open, and never wrote."""
    journal, idle = open_journal(tmp_path), open_journal(tmp_path)
    identity = journal.survey().identity
    journal.append([b"one"])
    journal.close()
    for file in tmp_path.glob(f"{NAME}*"):
        file.unlink()
    again = idle if is_open else open_journal(tmp_path)
    assert again.append([b"another"]) == 0
    assert again.survey().identity != identity
    assert open_journal(tmp_path).survey().identity == again.survey().identity


def test_an_idle_process_that_begins_it_anew_does_not_know_how_far_it_was(tmp_path: Path) -> None:
    """It went on at its own low number, under the same identity. Who had read more did not read that, nor after a restart."""
    one, idle = open_journal(tmp_path, segment_bytes=60), open_journal(tmp_path, segment_bytes=60)
    one.append([b"former"] * 2)
    assert idle.end() == 2
    reader = reader_of(one, "updater")
    for _ in range(10):
        one.append([b"former"] * 2)
    rest(reader)
    reader.commit()
    take_away(tmp_path, f"{NAME}*")
    for number in range(20):
        idle.append([b"next-%d" % number])
    assert [value for _, value in rest(reader)] == [b"next-%d" % number for number in range(20)]
    one.append([b"and then"])
    assert [value for _, value in rest(reader)] == [b"and then"]


def test_the_open_segment_is_gone_with_the_mark_and_closed_ones_are_not(tmp_path: Path) -> None:
    """Nobody said a word, and numbers were given twice."""
    one, idle = open_journal(tmp_path, segment_bytes=60), open_journal(tmp_path, segment_bytes=60)
    reader = reader_of(one, "updater")
    for number in range(11):
        one.append([b"former-%d" % number] * 2)
    assert len(rest(reader)) == 22
    one.append([b"unread"])
    take_away(tmp_path, NAME, f"{NAME}.times", f"{NAME}.lock", f"{NAME}.reader.*")
    with structlog.testing.capture_logs() as told:
        for number in range(20):
            idle.append([b"next-%d" % number])
    assert [line["log_level"] for line in told] == ["error"]
    assert [value for _, value in rest(reader)][-20:] == [b"next-%d" % number for number in range(20)]


@pytest.mark.parametrize("files", [f"{NAME}*", f"*{NAME}*"], ids=["known", "forgotten"])
@pytest.mark.parametrize("is_open", [False, True])
def test_a_journal_of_which_all_was_emptied(tmp_path: Path, files: str, *, is_open: bool) -> None:
    """In the same files: a reader that has them open goes on at its place in them, and a backup took it for the former one."""
    journal = open_journal(tmp_path)
    identity = journal.survey().identity
    reader = reader_of(journal, "updater")
    journal.append([b"former"] * 20)
    assert len(rest(reader)) == 20
    if not is_open:
        journal.close()
    take_away(tmp_path, files, by=empty)
    again = journal if is_open else open_journal(tmp_path)
    for number in range(30):
        again.append([b"next-%d" % number])
    assert [value for _, value in rest(reader)] == [b"next-%d" % number for number in range(30)]
    assert again.survey().identity != identity


def test_lines_that_are_left_do_not_get_numbers_of_the_next_ones(tmp_path: Path) -> None:
    """The last group is gone, and the mark. A reader took the next segment for the one that it needed, and passed by what was left."""
    journal = open_journal(tmp_path)
    journal.append([b"left"] * 5)
    size = (tmp_path / NAME).stat().st_size
    journal.append([b"gone"] * 3)
    journal.close()
    os.truncate(tmp_path / NAME, size)
    take_away(tmp_path, f"{NAME}.lock")
    again = open_journal(tmp_path)
    again.append([b"next"] * 9)
    assert everything(again) == [(number, b"left" if number < 5 else b"next") for number in range(14)]


def test_the_lock_s_file_alone_is_no_loss(tmp_path: Path) -> None:
    """Also where the next that is done is a rotation: nothing of the journal is missing."""
    journal = open_journal(tmp_path, segment_seconds=0.01)
    identity = journal.survey().identity
    reader = reader_of(journal, "updater")
    journal.append([b"first"])
    take_away(tmp_path, f"{NAME}.lock")
    time.sleep(0.02)
    with structlog.testing.capture_logs() as told:
        journal.tidy()
        journal.append([b"next"])
    assert (told, journal.survey().identity) == ([], identity)
    assert rest(reader) == [(0, b"first"), (1, b"next")]


def test_who_is_stopped_has_a_position_and_the_mark_is_gone(tmp_path: Path) -> None:
    """An idle process went by what it knew itself. What came below the position was never read."""
    one, idle = open_journal(tmp_path), open_journal(tmp_path)
    idle.append([b"first"])
    one.append([b"former"] * 100)
    reader = reader_of(one, "updater")
    rest(reader)
    reader.commit()
    reader.close()
    take_away(tmp_path, NAME, f"{NAME}.times", f"{NAME}.lock")
    idle.append([b"next"] * 150)
    assert [value for _, value in rest(reader_of(one, "updater"))] == [b"next"] * 150


def test_who_looks_before_the_new_journal_has_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its identity comes first. Whoever noted that already took the file for one that it had read."""
    journal = open_journal(tmp_path, segment_bytes=60)
    reader = reader_of(journal, "updater")
    for _ in range(10):
        journal.append([b"former"] * 2)
    rest(reader)
    take_away(tmp_path, f"{NAME}*")
    give = JournalFiles.give_identity

    def then_look(files: JournalFiles) -> str:
        identity = give(files)
        assert rest(reader) == []
        return identity

    monkeypatch.setattr(JournalFiles, "give_identity", then_look)
    again = open_journal(tmp_path)
    for number in range(20):
        again.append([b"next-%d" % number])
    assert [value for _, value in rest(reader)] == [b"next-%d" % number for number in range(20)]


def test_who_was_opened_before_a_journal_was_begun_anew_and_reads_then(tmp_path: Path) -> None:
    """Its position is of the former one."""
    journal = open_journal(tmp_path)
    journal.append([b"former"] * 5)
    first = reader_of(journal, "updater")
    rest(first)
    first.commit()
    first.close()
    reader = reader_of(journal, "updater")
    take_away(tmp_path, f"*{NAME}*")
    again = open_journal(tmp_path)
    again.append([b"next-%d" % number for number in range(9)])
    assert [value for _, value in rest(reader)] == [b"next-%d" % number for number in range(9)]
