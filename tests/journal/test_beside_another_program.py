"""Another program writes into the journal while we do: whole lines, halves of lines, and into what is closed."""

import os
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from devicesync.errors import Unavailable
from devicesync.log.full import OFFSET
from devicesync.log.journal import files, rotation, tail
from devicesync.log.journal.bounds import left_from
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.rotation import set_aside
from devicesync.log.journal.times import TimeEntry
from tests.journal.opened import close_all, everything, open_journal, reader_of, rest
from tests.journal.test_random_thefts import Thefts

NAME = "device-profile.log"
OURS = [(0, b"0000000"), (1, b"1"), (2, b"2")]


def test_what_it_appends_to_a_closed_segment_has_no_number(tmp_path: Path) -> None:
    """As one that has it open since before the rotation. The lines took the numbers of ours, and readers jumped back by as many.

    A position that was kept meanwhile lay beyond ours: they were never applied. A look for the last version ended before them.
    """
    journal = open_journal(tmp_path, segment_bytes=8)
    reader = reader_of(journal, "updater")
    with (tmp_path / NAME).open("ab") as opened_before:
        journal.append([OURS[0][1]])
        journal.append([b"1"])
        opened_before.write(b"another's\n" * 20)
    journal.append([b"2"])
    with capture_logs() as told:
        found = []
        while records := reader.poll(2, 0):
            found += [(record.offset, record.value) for record in records]
            reader.commit()
            assert journal.committed("updater") == records[-1].offset + 1
    assert found == OURS
    (line,) = told
    assert (line["before_record"], line["log_level"]) == (1, "error")
    assert [record.value for record in journal.taken_since(0, 2, {})] == [b"1", b"2"]
    assert [row[OFFSET] for rows in journal.records(0, 0, 3) for row in rows] == [0, 1, 2]
    assert left_from(JournalFiles(journal.path), 0, 3) == 0


def test_nor_does_it_change_ours_at_a_restart(tmp_path: Path) -> None:
    """Who opened the journal counted them, and gave the records of the open segment numbers behind theirs."""
    journal = open_journal(tmp_path, segment_bytes=8)
    with (tmp_path / NAME).open("ab") as opened_before:
        journal.append([OURS[0][1]])
        journal.append([b"1"])
        opened_before.write(b"another's\n" * 20)
    again = open_journal(tmp_path, segment_bytes=8)
    assert again.append([b"2"]) == 2
    assert everything(again) == OURS


def test_nor_is_it_read_before_the_next_segment_is_there(tmp_path: Path) -> None:
    """The reader passed by the records that came then."""
    journal = open_journal(tmp_path)
    reader = reader_of(journal, "updater")
    with (tmp_path / NAME).open("ab") as opened_before:
        journal.append([b"0"])
        assert rest(reader) == [(0, b"0")]
        set_aside(files.JournalFiles(tmp_path / NAME))
        opened_before.write(b"another's\n" * 20)
    assert rest(reader) == []
    reader.commit()
    assert open_journal(tmp_path).append([b"1"]) == 1
    assert rest(reader) == [(1, b"1")]


def test_what_it_appends_while_the_segment_is_read_has_none_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader had asked whether the segment is closed before the rotation, and read it after it."""
    journal = open_journal(tmp_path, segment_bytes=8)
    journal.append([OURS[0][1]])
    reader = reader_of(journal, "updater")
    reader.read(0)
    assert reader._segment
    lines = reader._segment._lines
    call = lines.read

    def overtaken(*given: int) -> tuple[list[bytes], int]:
        monkeypatch.setattr(lines, "read", call)
        with (tmp_path / NAME).open("ab") as opened_before:
            journal.append([b"1"])
            opened_before.write(b"another's\n" * 20)
        return call(*given)

    monkeypatch.setattr(lines, "read", overtaken)
    assert rest(reader) == OURS[:2]


def test_what_it_appends_between_a_read_and_the_noted_end_is_not_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment had moved before the read, which found nothing. After it lines came, its end was noted, and the next one began."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    reader = reader_of(journal, "updater")
    assert rest(reader) == [(0, b"0")]
    assert reader._segment
    lines = reader._segment._lines
    call = lines.read
    with (tmp_path / NAME).open("ab") as opened_before:
        (tmp_path / NAME).rename(tmp_path / f"{NAME}.{0:020d}")

        def overtaken(*given: int) -> tuple[list[bytes], int]:
            monkeypatch.setattr(lines, "read", call)
            found = call(*given)
            opened_before.write(b"another's\n" * 2)
            opened_before.flush()
            journal.append([b"3"])
            return found

        monkeypatch.setattr(lines, "read", overtaken)
        assert rest(reader) + rest(reader) == [(1, b"another's"), (2, b"another's"), (3, b"3")]


def test_nor_is_it_read_where_the_next_segment_is_gone(tmp_path: Path) -> None:
    """Its lines came under the numbers of those that are lost, and fewer counted as lost."""
    journal = open_journal(tmp_path, segment_bytes=8)
    with (tmp_path / NAME).open("ab") as opened_before:
        for value in (OURS[0][1], b"1111111", b"2"):
            journal.append([value])
        opened_before.write(b"another's\n" * 20)
    for file in tmp_path.glob(f"{NAME}.{1:020d}*"):
        file.unlink()
    reader = reader_of(journal, "updater")
    assert rest(reader) == [OURS[0], OURS[2]]
    assert reader.lost == 1


def _at_the_first_sync(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Act once, between the times of a write and its lines."""
    synced = os.fdatasync

    def sync(file: int) -> None:
        monkeypatch.setattr(os, "fdatasync", synced)
        synced(file)
        act()

    monkeypatch.setattr(os, "fdatasync", sync)


def test_half_a_line_of_it_before_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were one line then, which no event is: a registration that was answered 200 was refused."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    with (tmp_path / NAME).open("ab", buffering=0) as another:
        _at_the_first_sync(monkeypatch, lambda: another.write(b'{"device_id":"o'))
        with pytest.raises(Unavailable, match="half a line"):
            journal.append([b"1"])
        another.write(b'"}\n')
    assert journal.append([b"2"]) == 3
    assert everything(journal)[-1] == (3, b"2")


def test_the_segment_is_closed_by_a_process_with_another_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the lock's file is removed under a frozen process. Readers may have passed by where its line stands: nobody answers 200."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])

    def rotated() -> None:
        (tmp_path / f"{NAME}.lock").unlink()
        with closing(open_journal(tmp_path, segment_bytes=1)) as another:
            another.append([b"1"])

    _at_the_first_sync(monkeypatch, rotated)
    with pytest.raises(Unavailable, match="moved it"):
        journal.append([b"too late"])
    journal.append([b"2"])
    assert [value for _, value in everything(journal)][-2:] == [b"1", b"2"]


@pytest.mark.parametrize("step", ["opened", "sync_directory", "fdatasync"])
def test_two_processes_close_the_same_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """As where one is frozen in the middle of it, and its lock's file removed. The next segment was written over the closed one.

    step: before it moves the segment, before it notes the end, and after that.
    """
    journal = open_journal(tmp_path, segment_bytes=8)
    journal.append([OURS[0][1]])
    owner: Any = os if step == "fdatasync" else rotation
    call = getattr(owner, step)

    def overtaken(*given: Any) -> Any:
        monkeypatch.setattr(owner, step, call)
        (tmp_path / f"{NAME}.lock").unlink()
        with closing(open_journal(tmp_path, segment_bytes=8)) as another:
            another.append([b"1"])
        return call(*given)

    monkeypatch.setattr(owner, step, overtaken)
    if step == "opened":
        with pytest.raises(Unavailable, match="closed it meanwhile"):
            journal.append([b"refused"])
    assert journal.append([b"2"]) == 2
    assert everything(journal) == OURS


def test_a_line_that_comes_while_lines_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was counted, though the bytes were taken before: the next record had a number too high, and one seemed to be missing."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    counted = files.count_lines

    def overtaken(*given: int) -> int:
        with (tmp_path / NAME).open("ab") as another:
            another.write(b"another's\n")
        return counted(*given)  # type: ignore[arg-type]

    with (tmp_path / NAME).open("ab") as another:
        another.write(b"another's\n")
    with monkeypatch.context() as during:
        during.setattr(tail, "count_lines", overtaken)
        assert journal.append([b"1"]) == 2
    assert journal.append([b"2"]) == 4
    with capture_logs() as told:
        assert everything(journal) == [(0, b"0"), (1, b"another's"), (2, b"another's"), (3, b"1"), (4, b"2")]
    assert told == []


def _step_of(chance: random.Random) -> tuple[Any, ...]:
    """Appends in a row fill segments, few records are read at a time, and then a process may be another."""
    ours = [("append", chance.randrange(2))] * 9 + [
        ("read_and_commit",),
        ("read_few", chance.randint(1, 5)),
        ("restart", chance.randrange(2)),
    ]
    another_s = [("opened_by_another",), ("another_appends", 1), ("another_appends", 3)]
    return chance.choice([*ours, *another_s])


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_random_lives_beside_one_that_keeps_the_journal_open(tmp_path: Path, first: int) -> None:
    """All that was appended is read, and keeps its number, whatever the other one writes where."""
    for seed in range(first, first + 50):
        chance = random.Random(seed)
        thefts = Thefts(tmp_path / str(seed), segment_bytes=25)
        for _ in range(chance.randint(10, 40)):
            step, *arguments = _step_of(chance)
            getattr(thefts, step)(*arguments)
        thefts.ends()
        close_all()
        assert not thefts.renumbered


def test_a_line_that_comes_while_old_segments_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that read it then had no time for it, and the log had our next group's: `verify --deep` named 202 of 9,967 records."""
    journal = open_journal(tmp_path, segment_bytes=8)
    journal.append([OURS[0][1]])
    early = reader_of(journal, "early")
    read = early.poll(10, 0)
    dropped = tail.Tail.drop_old_segments

    def overtaken(given: tail.Tail) -> None:
        dropped(given)
        with (tmp_path / NAME).open("ab") as another:
            another.write(b"another's\n")
        while records := early.poll(10, 0):
            read.extend(records)

    monkeypatch.setattr(tail.Tail, "drop_old_segments", overtaken)
    assert journal.append([b"1"]) == 2
    read += early.poll(10, 0)
    assert [(record.offset, record.value, record.logged_ms is None) for record in read] == [
        (0, OURS[0][1], False),
        (1, b"another's", True),
        (2, b"1", False),
    ]
    late = reader_of(journal, "late")
    assert [late.poll(1, 0)[0].logged_ms for _ in read] == [record.logged_ms for record in read]


def test_bounds_end_where_a_rotation_that_was_cut_short_has_noted_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times had not followed yet. What another program wrote behind it counted, and the end went back later."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    with (tmp_path / NAME).open("ab") as opened_before, monkeypatch.context() as killed:
        killed.setattr(
            rotation, "same_file", lambda *given: len(given) == 2 and files.same_file(*given) and given[1].suffix != ".times"
        )
        set_aside(files.JournalFiles(tmp_path / NAME))
        opened_before.write(b"another's\n" * 2)
    assert journal.survey().bounds[0] == (0, 1)
    assert open_journal(tmp_path).append([b"1"]) == 1


def test_lines_behind_an_end_that_an_older_release_noted(tmp_path: Path) -> None:
    """It noted that before it moved the segment, and was killed in between. They had the numbers of the next registrations then."""
    journal = open_journal(tmp_path)
    journal.append([b"0"])
    journal.close()
    with (tmp_path / f"{NAME}.times").open("ab") as times:
        times.write(TimeEntry(1, 2, 2, 0).pack())
    with (tmp_path / NAME).open("ab") as another:
        another.write(b"another's\n" * 2)
    reader = reader_of(journal, "updater")
    found = rest(reader)
    again = open_journal(tmp_path, segment_bytes=1)
    assert again.append([b"3"]) == 3
    assert again.append([b"4"]) == 4
    assert found + rest(reader) == [(0, b"0"), (1, b"another's"), (2, b"another's"), (3, b"3"), (4, b"4")]
    assert everything(again) == [*found, (3, b"3"), (4, b"4")]
