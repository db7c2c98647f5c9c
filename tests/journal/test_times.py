"""A segment's times, of which only those are read that are needed."""

import errno
import os
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.log.journal.cursor import Cursor
from devicesync.log.journal.files import JournalFiles, times_of
from devicesync.log.journal.times import ENTRY_BYTES, TimeEntry, last_two
from tests.journal.opened import open_journal

NAME = "device-profile.log"
_GROUPS = [(1, 10), (3, 20), (1, 30), (2, 15), (1, 40), (4, 50), (1, 60)]
"""How many lines, taken at which second: once the clock went back."""


def _written(directory: Path) -> list[tuple[int, bytes, int]]:
    """A journal of these groups; the records that it has, with their times."""
    journal = open_journal(directory)
    records: list[tuple[int, bytes, int]] = []
    for count, at in _GROUPS:
        lines = [b"record-%d" % (len(records) + each) for each in range(count)]
        with mock.patch.object(SYSTEM, "now_us", lambda at=at: at * 1_000_000):
            first = journal.append(lines)
        records += [(first + each, line, at * 1_000) for each, line in enumerate(lines)]
    journal.close()
    return records


def _read(directory: Path, position: int) -> list[tuple[int, bytes, int]]:
    with closing(Cursor(JournalFiles(directory / NAME), position)) as cursor:
        return [(record.offset, record.value or b"", record.taken_ms) for record in cursor.read(100)]


def test_a_journal_is_read_from_any_record_on(tmp_path: Path) -> None:
    """With its number, and its time."""
    records = _written(tmp_path)
    for position in range(len(records)):
        assert _read(tmp_path, position) == records[position:]


def test_what_follows_a_group_of_which_a_part_was_written_has_its_own_time(tmp_path: Path) -> None:
    """As on a full disk, or after a kill in the middle of it. An updater refuses what is far ahead of its time."""
    write = os.write

    def half(file: int, data: memoryview) -> int:
        if bytes(data[:5]) != b"group":
            return write(file, data)
        write(file, data[:12])
        raise OSError(errno.ENOSPC, "injected")

    journal = open_journal(tmp_path)
    with (
        mock.patch.object(SYSTEM, "now_us", return_value=1_000_000),
        mock.patch.object(os, "write", half),
        pytest.raises(Unavailable),
    ):
        journal.append([b"group-%d" % each for each in range(3)])
    with mock.patch.object(SYSTEM, "now_us", return_value=400_000_000):
        journal.append([b"later"])
    assert _read(tmp_path, 0) == [(0, b"group-0", 1_000), (1, b"later", 400_000)]


@pytest.mark.parametrize("damage", [bytes(ENTRY_BYTES), b"\xff" * ENTRY_BYTES, b"\x03" * ENTRY_BYTES])
@pytest.mark.parametrize("spot", range(len(_GROUPS) + 1))
def test_a_damaged_entry_misleads_nobody_who_looks_for_a_record(tmp_path: Path, spot: int, damage: bytes) -> None:
    """Whichever it is, each record has its number. One that was looked for by it is found by those beside it."""
    records = _written(tmp_path)
    times = tmp_path / f"{NAME}.times"
    entries = times.read_bytes()
    times.write_bytes(entries[: spot * ENTRY_BYTES] + damage + entries[(spot + 1) * ENTRY_BYTES :])
    closed = tmp_path / f"{NAME}.{0:020d}"  # its name tells its first number
    (tmp_path / NAME).rename(closed)
    times.rename(closed.with_name(f"{closed.name}.times"))
    for position in range(len(records)):
        assert [record[:2] for record in _read(tmp_path, position)] == [record[:2] for record in records[position:]]


def test_a_look_at_a_long_journal_reads_the_times_of_what_is_new(tmp_path: Path) -> None:
    """Of 140,000 groups all were made anew at each look, for 0.3 to 1.8 s. An API looks before each registration for a while."""
    journal = open_journal(tmp_path)
    with mock.patch("os.fdatasync"):
        for number in range(2_000):
            last = journal.append([b"record-%d" % number])
    with mock.patch("devicesync.log.journal.times.TimeEntry", wraps=TimeEntry) as made:
        assert [record.offset for record in journal.taken_since(0, 100, {0: last})] == [last]
    assert made.call_count < 100


@pytest.mark.parametrize("more", [-2, -1, 1, 5])
def test_a_noted_end_that_is_not_where_the_lines_end_is_none(tmp_path: Path, more: int) -> None:
    """One bit of it had readers pass by acknowledged records, which they took for another program's."""
    journal = open_journal(tmp_path, segment_bytes=20)
    lines = [b"record-%d" % number for number in range(8)]
    for some in (lines[:3], lines[3:6], lines[6:]):
        journal.append(some)
    files = JournalFiles(tmp_path / NAME)
    times = times_of(files.closed(3))
    entries = times.read_bytes()
    with times.open("rb") as file:
        _, end = last_two(file.fileno()) or pytest.fail("it has no two entries")
    assert end.is_end
    assert end.first == 6
    times.write_bytes(entries[:-ENTRY_BYTES] + end._replace(first=end.first + more).pack())
    assert files.end_of(3) == 6
    with closing(Cursor(files, 0)) as cursor:
        read = [cursor.read(100) for _ in range(3)]
    assert [(record.offset, record.value) for some in read for record in some] == [*enumerate(lines)]
    assert open_journal(tmp_path).append([b"another"]) == 8
