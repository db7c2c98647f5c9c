"""Another program takes the journal away under us, or damages what stands beside it."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal import Journal, JournalReader
from tests.journal.opened import everything, open_journal, reader_of, rest

NAME = "device-profile.log"
_random = random.Random(1)  # the same in each of pytest's workers
DAMAGES = [b"", b"x", _random.randbytes(32), b"\xff" * 96, _random.randbytes(320)]


def _delete(file: Path) -> None:
    file.unlink()


def _rename(file: Path) -> None:
    file.rename(file.with_name(f"elsewhere-{file.name}"))


def _rename_and_create(file: Path) -> None:
    _rename(file)
    file.touch()


def _truncate(file: Path) -> None:
    os.truncate(file, 0)


def _truncate_in_the_middle(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2 + 1)


def _make_both_anew(file: Path) -> None:
    for each in (file, file.with_name(f"{file.name}.times")):
        if each.exists():
            _rename_and_create(each)


def _put_another_there(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"other\n" * 3)
    other.replace(file)


WAYS = [_delete, _rename, _rename_and_create, _truncate, _truncate_in_the_middle]


def worked_off(directory: Path) -> tuple[Journal, JournalReader]:
    """A journal of 15 records, and the reader that has committed them."""
    journal = open_journal(directory)
    reader = reader_of(journal, "updater")
    for number in range(5):
        journal.append([b"before-%d" % number] * 3)
    rest(reader)
    reader.commit()
    return journal, reader


def _delete_times(directory: Path) -> None:
    (directory / f"{NAME}.times").unlink()


@pytest.mark.parametrize("without_times", [False, True])
@pytest.mark.parametrize("take_away", [*WAYS, _put_another_there, _make_both_anew])
def test_a_journal_taken_away_under_us_goes_on(tmp_path: Path, take_away: Callable[[Path], None], *, without_times: bool) -> None:
    """The next append is read by every reader, under a number that no record had; and the check says so."""
    journal, reader = worked_off(tmp_path)
    journal.check()
    take_away(tmp_path / NAME)
    if without_times:
        _delete_times(tmp_path)
    assert journal.append([b"after"]) >= 15
    *left, after = [value for _, value in rest(reader)]
    assert after == b"after"
    assert set(left) <= {b"other", *(b"before-%d" % number for number in range(5))}
    assert journal.append([b"more"]) > 15
    assert [value for _, value in rest(reader)] == [b"more"]
    with pytest.raises(Unavailable, match="cut, moved or deleted"):
        journal.check()


def test_times_alone_that_go_lose_no_record(tmp_path: Path) -> None:
    """The lines are read again, by other numbers, where somebody comes later. Who has read them goes on, and none counts as lost."""
    journal, reader = worked_off(tmp_path)
    _delete_times(tmp_path)
    journal.append([b"after"])
    assert [value for _, value in rest(reader)] == [b"after"]
    assert (reader.lost, reader.lag()) == (0, 0)
    journal.check()


def test_records_that_nobody_had_read_are_taken_away_with_their_times(tmp_path: Path) -> None:
    """No reader's position tells of them: whoever wrote them does."""
    journal = open_journal(tmp_path)
    journal.append([b"before"] * 3)
    _delete(tmp_path / NAME)
    _delete_times(tmp_path)
    assert journal.append([b"after"]) >= 3
    with pytest.raises(Unavailable, match="cut, moved or deleted"):
        journal.check()


@pytest.mark.parametrize("retention_seconds", [0, 1000])
def test_a_rotation_by_another_process_takes_nothing_away(tmp_path: Path, retention_seconds: float) -> None:
    """Also where the closed segment is dropped at once."""
    mine = open_journal(tmp_path, segment_bytes=10, retention_seconds=retention_seconds)
    other = open_journal(tmp_path, segment_bytes=10, retention_seconds=retention_seconds)
    reader = reader_of(other, "updater")
    for number in range(4):
        mine.append([b"mine"] * 5)
        other.append([b"other"] * 5)
        assert len(rest(reader)) == 10, number
        reader.commit()
    mine.check()
    other.check()


@pytest.mark.parametrize("take_away", WAYS)
def test_a_journal_taken_away_while_nobody_worked_goes_on(tmp_path: Path, take_away: Callable[[Path], None]) -> None:
    """The same, found at the next start."""
    journal, reader = worked_off(tmp_path)
    reader.close()
    journal.close()
    take_away(tmp_path / NAME)
    again = open_journal(tmp_path)
    assert again.append([b"after"]) >= 15
    assert [value for _, value in rest(reader_of(again, "updater"))] == [b"after"]


def test_the_lines_that_a_cut_leaves_are_still_read(tmp_path: Path) -> None:
    """By a reader that comes later; the gap in the numbers is what was lost."""
    journal = open_journal(tmp_path)
    for number in range(10):
        journal.append([b"line-%d" % number])
    os.truncate(tmp_path / NAME, 40)
    first = journal.append([b"after"])
    found = everything(journal)
    assert found == [*((number, b"line-%d" % number) for number in range(5)), (first, b"after")]


@pytest.mark.parametrize("number", ["\N{SUPERSCRIPT TWO}" * 20, "9" * 20, "\N{ARABIC-INDIC DIGIT ONE}" * 20])
def test_a_file_whose_name_is_nearly_a_segment_s_is_none(tmp_path: Path, number: str) -> None:
    """Whoever put it there."""
    (tmp_path / f"{NAME}.{number}").write_bytes(b"x\n")
    journal = open_journal(tmp_path)
    assert journal.append([b"one"]) == 0
    assert everything(journal) == [(0, b"one")]


def test_a_whole_new_journal_at_the_same_place_is_read_from_its_beginning(tmp_path: Path) -> None:
    """The old one's position, and absurd ones, lie past its end: they are not waited for."""
    for position in (b"%020d\n" % 5000, b"%020d\n" % 10**18, b"%020d\n" % 10**19, b"9" * 40, b"-5", b""):
        directory = tmp_path / str(len(list(tmp_path.iterdir())))
        directory.mkdir()
        (directory / f"{NAME}.reader.updater").write_bytes(position)
        journal = open_journal(directory)
        journal.append([b"one"])
        assert [value for _, value in rest(reader_of(journal, "updater"))] == [b"one"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_times_cost_no_record(tmp_path: Path, damage: bytes) -> None:
    """Emptied or overwritten times, of a closed segment and of the active one: all lines are read, and appending goes on."""
    journal = open_journal(tmp_path, segment_bytes=30)
    for number in range(12):
        journal.append([b"record-%d" % number])
    journal.close()
    damaged = sorted(tmp_path.glob("*.times"))
    for times in damaged:
        times.write_bytes(damage)
    again = open_journal(tmp_path, segment_bytes=30)
    again.append([b"last"])
    assert [value for _, value in everything(again)] == [*(b"record-%d" % number for number in range(12)), b"last"]
    assert len(damaged) > 2


def test_times_that_a_killed_process_wrote_by_half_cost_no_number(tmp_path: Path) -> None:
    """Who has the journal open cuts them before it appends. Of what came before only the times know how much it was."""
    journal = open_journal(tmp_path, segment_bytes=10, retention_seconds=0)
    reader = reader_of(journal, "updater")
    journal.append([b"before", b"dropped"])
    rest(reader)
    reader.commit()
    assert journal.append([b"three"]) == 2
    rest(reader)
    reader.commit()
    with (tmp_path / f"{NAME}.times").open("ab") as times:
        times.write(b"by half")
    assert journal.append([b"four"]) == 3
    journal.close()
    again = open_journal(tmp_path)
    assert everything(again) == [(2, b"three"), (3, b"four")]
    assert again.end() == 4
