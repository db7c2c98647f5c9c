"""A backup's range back into a topic: its files are read side by side, in bounded memory."""

import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.ranges import MOST_DAYS
from devicesync.errors import Damaged
from devicesync.jobs.erase import erase_line
from devicesync.jobs.restore.republish import put_range
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.patience import Patience
from devicesync.log.full import LARGEST_BYTES, FullRecord
from tests.archive.test_days import DAY_MS, MIDNIGHT_MS, kept, ranges_of

DEFAULT_BYTES = 128 << 20


class Taken:
    """A sink that keeps each record's offset and length."""

    def __init__(self) -> None:
        self.records: list[tuple[int, int]] = []

    def put(self, partition: int, records: Sequence[FullRecord]) -> None:
        """See Sink."""
        assert partition == 3
        self.records += [(row[0], len(row[3] or b"")) for row in records]

    def close(self) -> None:
        """See Sink."""


def of_days(sizes: list[int], days: int) -> list[FullRecord]:
    """Records of these lengths, each of the next of so many days."""
    return [(at, MIDNIGHT_MS + at % days * DAY_MS, b"k", bytes(size), None) for at, size in enumerate(sizes)]


def put(archive: Archive, spool: Path) -> list[tuple[int, int]]:
    """What a restore of its one range brings to the topic."""
    sink, files = Taken(), archive.manifest.entries()
    assert len({entry.range for entry in files}) == 1
    patience = Patience(threading.Event())
    put_range(archive, files, spool, Selection(), sink, patience, rekey=False, max_clock_ahead_ms=0)
    return sink.records


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_the_greatest_range_of_the_default_size_is_brought_back_in_order(tmp_path: Path, file_format: str) -> None:
    """Of as many days as there can be; the records of some are as large as a log gives them."""
    some = [7] * MOST_DAYS
    sizes = [*some, LARGEST_BYTES, LARGEST_BYTES, *some, LARGEST_BYTES]
    rows = of_days(sizes, MOST_DAYS)
    (files,) = ranges_of(tmp_path, rows, step=len(rows), file_bytes=DEFAULT_BYTES, file_format=file_format)
    assert len(files) == MOST_DAYS
    assert put(kept(tmp_path, [files]), tmp_path) == list(enumerate(sizes))


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("before", [0, 1])
def test_files_that_hold_too_much_side_by_side_are_refused(tmp_path: Path, before: int, file_format: str) -> None:
    """36 KB of Parquet took 2.2 GiB: a record of 60 MiB of each file waited, or the small one before it in its group."""
    sizes = [1] * MOST_DAYS * before + [20 << 20] * MOST_DAYS
    archive = kept(tmp_path, ranges_of(tmp_path, of_days(sizes, MOST_DAYS), step=len(sizes), file_format=file_format))
    tracemalloc.start()
    try:
        with pytest.raises(Damaged, match=r"topic/dt=.* side by side would take more than"):
            put(archive, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 300 << 20
    finally:
        tracemalloc.stop()


def test_headers_that_take_too_much_side_by_side_are_refused(tmp_path: Path) -> None:
    """An empty one has 8 bytes in the file, and 200 in Python: 16 files of some KB took 6 GiB."""
    rows: list[FullRecord] = [(*row[:4], [("", None)] * 300_000) for row in of_days([1] * MOST_DAYS, MOST_DAYS)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=len(rows)))
    with pytest.raises(Damaged, match=r"topic/dt=.* side by side would take more than"):
        put(archive, tmp_path)


def test_names_that_grow_in_python_are_refused_before_they_do(tmp_path: Path) -> None:
    """One emoji, and each of its characters takes 4 bytes: two files of 5 KB took 1.3 GiB."""
    rows: list[FullRecord] = [(*row[:4], [("a" * (14 << 20) + "\U0001f600", b"")]) for row in of_days([1] * 8, 8)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=len(rows)))
    rows.clear()
    tracemalloc.start()
    try:
        with pytest.raises(Damaged, match=r"topic/dt=.* side by side would take more than"):
            put(archive, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_the_greatest_range_of_headers_is_brought_back(tmp_path: Path) -> None:
    """Any producer can send records with many."""
    rows: list[FullRecord] = [(*row[:4], [("", None)] * 800_000) for row in of_days([1] * 5, 5)]
    files = ranges_of(tmp_path, rows, step=1, file_bytes=DEFAULT_BYTES)
    assert len(files) > 1
    for each in files:
        assert put(kept(tmp_path / str(each[0].entry.from_offset), [each]), tmp_path)


def test_what_comes_together_is_bounded_by_keys_too(tmp_path: Path) -> None:
    """Two days: the rows of both are put some MiB at a time."""
    rows: list[FullRecord] = [(at, MIDNIGHT_MS + at % 2 * DAY_MS, bytes(1 << 20), b"", None) for at in range(100)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=1))
    tracemalloc.start()
    try:
        assert len(put(archive, tmp_path)) == len(rows)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()


def test_of_large_records_each_file_holds_one(tmp_path: Path) -> None:
    """Two days: the row before the next was kept by what had read it, with all its headers in Python."""
    rows: list[FullRecord] = [(at, MIDNIGHT_MS + at % 2 * DAY_MS, b"", b"", [("", None)] * 100_000) for at in range(12)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=1))
    tracemalloc.start()
    try:
        assert len(put(archive, tmp_path)) == len(rows)
        assert tracemalloc.get_traced_memory()[1] < 27_000_000
    finally:
        tracemalloc.stop()


def test_the_erases_of_other_partitions_come_along(tmp_path: Path) -> None:
    """A topic that got more partitions has a device's erase in another one than its registrations: 10 of 12 devices came back."""
    rows: list[FullRecord] = [
        (0, MIDNIGHT_MS, b"k", b'{"device_id":"k","version":%d}' % (MIDNIGHT_MS * 1000 - 9), None),
        (1, MIDNIGHT_MS, b"k", erase_line("k", MIDNIGHT_MS * 1000), None),
    ]
    (entry,) = (each.entry for each in ranges_of(tmp_path, rows, step=2)[0])
    assert entry.partition == 3
    for selection, expected in ((Selection(partitions=(3, 4)), ([0, 1], 0)), (Selection(partitions=(4,)), ([], 1))):
        wanted = selection.rows(rows, entry, 0), selection.other_erases(rows, entry, 0)
        assert ([row[0] for row in wanted[0]], len(wanted[1])) == expected


def test_a_record_is_judged_by_the_file_that_it_is_in(tmp_path: Path) -> None:
    """With a backup's clock behind the log's a file is closed with its last record: an erase of the next day was left out."""
    erased_ms = MIDNIGHT_MS + DAY_MS
    rows: list[FullRecord] = [
        (0, MIDNIGHT_MS, b"k", b"v", None),
        (1, erased_ms, b"k", erase_line("k", erased_ms * 1000), None),
    ]
    first, second = (each.entry for each in ranges_of(tmp_path, rows, step=2)[0])
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=2))
    files = [msgspec.structs.replace(entry, closed_ms=entry.last_ms or 0) for entry in (first, second)]
    sink, selection = Taken(), Selection(until_ms=MIDNIGHT_MS)
    patience = Patience(threading.Event())
    put_range(archive, files, tmp_path, selection, sink, patience, rekey=False, max_clock_ahead_ms=0)
    assert [offset for offset, _ in sink.records] == [0, 1]
