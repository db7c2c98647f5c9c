"""Another program takes the journal away under us, or damages what stands beside it."""

import os
import random
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from devicesync import durable
from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import Held, Unavailable
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.update import Updater
from devicesync.log.journal import Journal, JournalReader, tail
from devicesync.stores import Stores
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
    assert (reader.lost, reader.unread()) == (0, {})
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


def test_what_another_process_made_anew_or_cut_is_told(tmp_path: Path) -> None:
    """Numbers go on after the last durable record, and who finds fewer tells it. Whoever looked first made it look like a rotation."""
    one, other = open_journal(tmp_path), open_journal(tmp_path)
    reader = reader_of(one, "updater")
    log, times = tmp_path / NAME, tmp_path / f"{NAME}.times"
    one.append([b"read"])
    assert rest(reader) == [(0, b"read")]
    os.truncate(log, 0)  # as it is when a process is killed before it writes the lines that it has announced
    with structlog.testing.capture_logs() as told:
        assert other.append([b"behind it"]) == 1
    assert [line["log_level"] for line in told] == ["error"]
    assert (rest(reader), reader.lost) == ([(1, b"behind it")], 0)
    for number in range(2, 5):
        assert one.append([b"unread"]) == number
    for file in (log, times):
        file.unlink()
    with structlog.testing.capture_logs() as told:
        third = open_journal(tmp_path)
        assert [third.append([b"after"]), one.append([b"and then"])] == [5, 6]
    assert [line["log_level"] for line in told] == ["error"]
    assert [number for number, _ in rest(reader)] == [2, 3, 4, 5, 6]  # it has the file still open
    reader.close()
    with structlog.testing.capture_logs() as told:
        reader = reader_of(one, "updater")  # which had committed nothing
        assert (reader.position, rest(reader)[0], reader.lost) == (0, (5, b"after"), 5)
    assert [(line["from_record"], line["to_record"]) for line in told] == [(0, 5)]


@pytest.mark.parametrize("size", [0, 6])
def test_the_lock_s_file_may_go_with_the_lines(tmp_path: Path, size: int) -> None:
    """Whoever wrote last still knows the number."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    journal.append([b"first"])
    journal.append([b"second"] * 3)
    assert len(rest(reader)) == 4
    os.truncate(tmp_path / NAME, size)
    (tmp_path / f"{NAME}.lock").unlink()
    with structlog.testing.capture_logs() as told:
        assert journal.append([b"third"]) == 4
    assert [line["log_level"] for line in told] == ["error"]
    assert rest(reader) == [*([(0, b"first")] if size else []), (4, b"third")]


def test_an_older_copy_put_back_costs_only_what_it_lacks(tmp_path: Path) -> None:
    """Its end is before the readers' position: what was appended to it was never read."""
    one, other = open_journal(tmp_path), open_journal(tmp_path)
    reader = reader_of(other, "updater")
    files = [tmp_path / NAME, tmp_path / f"{NAME}.times"]
    one.append([b"first"])
    copies = [file.read_bytes() for file in files]
    other.append([b"second"] * 20)
    rest(reader)
    reader.commit()
    for file, copy in zip(files, copies, strict=True):
        file.write_bytes(copy)
    with structlog.testing.capture_logs() as told:
        assert one.append([b"third"]) == 21
    assert [line["log_level"] for line in told] == ["error"]
    assert rest(reader) == [(21, b"third")]


@pytest.mark.parametrize("is_open", [True, False])
def test_closed_segments_that_go_are_counted_and_told(tmp_path: Path, *, is_open: bool) -> None:
    """To a reader that is at work, and to one that starts after that."""
    journal = open_journal(tmp_path, segment_bytes=20)
    reader = reader_of(journal, "updater")
    journal.append([b"read"])
    assert len(rest(reader)) == 1
    reader.commit()
    for number in range(10):
        journal.append([b"record-%d" % number] * 3)
    if is_open:
        reader.poll(1, 0)
    else:
        reader.close()
    closed = sorted(tmp_path.glob(f"{NAME}.0*"))
    for file in closed[4:8]:
        file.unlink()
    with structlog.testing.capture_logs() as told:
        reader = reader if is_open else reader_of(journal, "updater")
        found = rest(reader)
    assert (reader.lost, [line["from_record"] for line in told]) == (6, [7])
    assert told[0]["to_record"] == 13
    assert [number for number, _ in found][-1] == 30


def test_lines_that_got_other_numbers_and_are_cut_are_told(tmp_path: Path) -> None:
    """By their new numbers, to a reader that has begun with the old ones."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    journal.append([b"one", b"two", b"three"])
    assert len(reader.poll(1, 0)) == 1
    (tmp_path / f"{NAME}.times").unlink()
    assert journal.append([b"after"]) == 6
    os.truncate(tmp_path / f"{NAME}.{3:020d}", 0)
    with structlog.testing.capture_logs() as told:
        assert (rest(reader), reader.lost) == ([(6, b"after")], 2)
    assert [(line["from_record"], line["to_record"]) for line in told] == [(4, 6)]


def test_a_reader_that_begins_late_says_so(tmp_path: Path) -> None:
    """Nobody knows whether one of its name has read what is gone: it does not count as lost, and it is told."""
    journal = open_journal(tmp_path, segment_bytes=20)
    for number in range(5):
        journal.append([b"record-%d" % number] * 3)
    for file in sorted(tmp_path.glob(f"{NAME}.0*"))[:4]:
        file.unlink()
    with structlog.testing.capture_logs() as told:
        reader = reader_of(journal, "updater")
        assert len(rest(reader)) == 9
    assert (reader.lost, [(line["log_level"], line["first_record"]) for line in told]) == (0, [("warning", 6)])


@pytest.mark.parametrize("position", [b"1000000000000\n", b"%d\n" % (1 << 60), b"%d\n" % 10**30, b"-5\n"])
def test_a_position_that_can_not_be_moves_no_number(tmp_path: Path, position: bytes) -> None:
    """It is no sign that records were taken away: they are all read again."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    journal.append([b"one"])
    reader.close()
    journal.close()
    (tmp_path / f"{NAME}.reader.updater").write_bytes(position)
    with structlog.testing.capture_logs() as told:
        journal = open_journal(tmp_path)
        assert journal.append([b"two"]) == 1
        assert rest(reader_of(journal, "updater")) == [(0, b"one"), (1, b"two")]
    assert all(line["log_level"] == "warning" for line in told)


@pytest.mark.parametrize("mark", [b"", b"123", b"99999999999999999999\n", b"00000000001000000000 00000000\n", b"\xff" * 30])
def test_a_damaged_mark_counts_as_none(tmp_path: Path, mark: bytes) -> None:
    journal = open_journal(tmp_path)
    journal.append([b"one"])
    journal.close()
    (tmp_path / f"{NAME}.lock").write_bytes(mark)
    with structlog.testing.capture_logs() as told:
        journal = open_journal(tmp_path)
        assert journal.append([b"two"]) == 1
        assert rest(reader_of(journal, "updater")) == [(0, b"one"), (1, b"two")]
    assert told == []


def test_a_position_that_is_removed_is_kept_again(tmp_path: Path) -> None:
    """Else no closed segment was ever dropped again: nothing said who had read it."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    journal.append([b"one"])
    rest(reader)
    (tmp_path / f"{NAME}.reader.updater").unlink()
    reader.commit()
    assert journal.committed("updater") == 1
    with pytest.raises(Held):
        journal.reader("updater")


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


def test_an_updater_keeps_a_position_that_moved_without_a_record(tmp_path: Path) -> None:
    """Else whoever waits until all is applied, as an erase does, waits until the next registration."""
    journal, reader = worked_off(tmp_path)
    with closing(SqliteDatabase(tmp_path / "db")) as database, closing(SqliteDeadLetters(tmp_path / "dead")) as dead:
        limit = RefusalLimit(0.5, 4, 0)
        stores = Stores(MemoryCache(), database)
        updater = Updater(reader, stores, dead, source="journal", batch_records=4, refusal_limit=limit, stop=threading.Event())
        (tmp_path / f"{NAME}.times").unlink()
        assert journal.end() == 30
        for _ in range(2):
            updater.step(0)
        updater.close()
    assert journal.committed("updater") == 30


@pytest.mark.parametrize("left", [0, 13], ids=["copytruncate", "within a line"])
def test_a_group_that_was_written_to_a_file_just_cut_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """It lies before the place that its times tell, or on a torn line. What is lost before it is told of."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    journal.append([b"record-0", b"record-1"])
    write_all = durable.write_all

    def cut_before(file: int, data: bytes) -> None:
        if data == b"record-2\n":
            os.truncate(tmp_path / NAME, left)
        write_all(file, data)

    monkeypatch.setattr(tail, "write_all", cut_before)
    with structlog.testing.capture_logs() as told, pytest.raises(Unavailable, match="cut it meanwhile"):
        journal.append([b"record-2"])
    monkeypatch.undo()
    open_journal(tmp_path).append([b"record-2"])
    assert rest(reader)[-1][1] == b"record-2"
    assert told[0]["event"].startswith("the journal was cut")
