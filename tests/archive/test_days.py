"""A file never has records of two days, and below the topic's directory is nothing but records."""

from contextlib import closing
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesync.archive.archive import Archive, topics_at
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import Origin, rest_path
from devicesync.archive.files import ClosedFile, OpenFile
from devicesync.archive.manifest import MANIFEST
from devicesync.archive.ranges import MOST_DAYS
from devicesync.archive.storage import Storage
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.partition_backup import PartitionBackup
from devicesync.jobs.backup.verify import check_range
from devicesync.log.full import Claim, FullRecord

DAY_MS = 86_400_000
MIDNIGHT_MS = 19_000 * DAY_MS


def row(offset: int, stamp_ms: int | None) -> FullRecord:
    """A record."""
    return (offset, stamp_ms, b"k", b'{"n":%d}' % offset, None)


def ranges_of(
    directory: Path, rows: list[FullRecord], *, step: int, file_bytes: int = 1 << 30, file_format: str = "parquet"
) -> list[list[ClosedFile]]:
    """What a backup makes of the rows, polled some at a time."""
    ranges: list[list[ClosedFile]] = []
    with closing(Encoder(directory)) as encoder:

        def open_file(part: PartitionBackup) -> OpenFile:
            return OpenFile(directory, Origin("topic", "source", 1, part.partition), file_format, encoder)

        def close() -> None:
            part.end()
            part.finish()
            ranges.append(part.closed)
            part.begin(part.expected)

        part = PartitionBackup(3, 1, "id", rows[0][0], None)
        for start in range(0, len(rows), step):
            left = rows[start : start + step]
            while left := part.keep(left, file_bytes, open_file):
                close()
        close()
    return [files for files in ranges if files]


@pytest.mark.parametrize(("first", "start", "expected", "agreed_end"), [(6, 5, 6, 9), (9, 9, 9, None), (5, 5, 5, 9)])
def test_a_claimed_range_keeps_its_bounds_when_the_log_loses_its_first_records(
    first: int, start: int, expected: int, agreed_end: int | None
) -> None:
    """Who has claimed it may still bring its file. A range that the log has lost all of is over."""
    part = PartitionBackup(3, 1, "id", 5, Claim("id", 5, 9))
    part.skip_to(first)
    assert (part.start, part.expected, part.agreed_end) == (start, expected, agreed_end)


def kept(directory: Path, ranges: list[list[ClosedFile]]) -> Archive:
    """The archive with these."""
    archive = Archive(Storage(str(directory / "backup")), "topic")
    assert archive.manifest.generation_of("id") == 1
    for files in ranges:
        for file in files:
            archive.upload(file)
        archive.manifest.add([file.entry for file in files])
    return archive


def rows_of(archive: Archive, spool: Path) -> dict[str, list[FullRecord]]:
    """The rows of each file, by its path."""
    found = {}
    for entry in archive.manifest.entries():
        with archive.fetched(entry, spool) as batches:
            found[entry.path] = [row for batch in batches for row in batch]
    return found


@settings(max_examples=30)
@given(
    stamps=st.lists(
        st.none() | st.integers(-1, 2**62) | st.integers(0, 20).map(lambda day: day * DAY_MS), min_size=1, max_size=60
    ),
    step=st.integers(1, 20),
    file_bytes=st.integers(1, 300),
)
def test_each_record_is_in_one_file_of_its_day(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[int | None], step: int, file_bytes: int
) -> None:
    """Whatever times they have, in whatever order, however they are polled: one file each, below its day."""
    directory = tmp_path_factory.mktemp("days")
    rows = [row(number, stamp) for number, stamp in enumerate(stamps)]
    ranges = ranges_of(directory, rows, step=step, file_bytes=file_bytes)
    assert max(map(len, ranges)) <= MOST_DAYS
    bounds = [(files[0].entry.from_offset, files[0].entry.next_offset) for files in ranges]
    assert [start for start, _ in bounds] == [0, *[end for _, end in bounds[:-1]]]
    there = rows_of(kept(directory, ranges), directory)
    assert sorted(row for some in there.values() for row in some) == sorted(rows)
    for some in there.values():
        assert len({min(max((row[1] or 0) // DAY_MS, 0), 2_932_896) for row in some}) == 1


def test_around_midnight_there_are_two_files_and_not_many(tmp_path: Path) -> None:
    """Times of several producers go to and fro over midnight; readers of one day find all of it."""
    rows = [row(number, MIDNIGHT_MS + (-1) ** number * 500) for number in range(900)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=100))
    assert {path: len(some) for path, some in rows_of(archive, tmp_path).items()} == {
        "topic/dt=2022-01-07/1_3_1-0.parquet": 450,
        "topic/dt=2022-01-08/1_3_0.parquet": 450,
    }


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_range_of_many_days_is_compared_in_one_reading_of_the_log(tmp_path: Path, file_format: str) -> None:
    """The log was read once for each file: some 4 s for each listing of 16 files that somebody added beside 40,000 records."""
    rows = [row(number, MIDNIGHT_MS + number % MOST_DAYS * DAY_MS) for number in range(900)]
    (files,) = kept(tmp_path, ranges_of(tmp_path, rows, step=100, file_format=file_format)).manifest.ranges_from_last(1, 3)
    assert len(files) == MOST_DAYS
    asked = []

    def check(log: list[FullRecord]) -> list[str]:
        def records(*of: int) -> list[list[FullRecord]]:
            asked.append(of)
            return [log[:500], log[500:]]

        archive = Archive(Storage(str(tmp_path / "backup")), "topic")
        return [problem for _, problem in check_range(archive, files, tmp_path, records, Cover(), deep=True)]

    assert (check(rows), asked) == ([], [(3, 0, 900)])
    others = [row(700, 5) if each[0] == 700 else each for each in rows]
    assert check(others[100:]) == ["1 records differ from the log's, the first at offset 700"], "the log may have lost records"
    assert check([*rows, row(900, 5), row(901, 5)]) == ["2 records of the log are missing, the first at offset 900"]
    (tmp_path / "backup" / files[3].path).write_bytes(b"junk")
    (tmp_path / "backup" / files[9].path).unlink()
    assert [problem.partition(" ")[0] for problem in check(rows)] == ["has", "is"], "each damaged file is named"


def test_other_readers_are_given_the_topic_s_directory(tmp_path: Path) -> None:
    """Without a word of help; nothing else than records lies there."""
    rows = [row(number, MIDNIGHT_MS - 400_000 + number * 1000) for number in range(900)]
    kept(tmp_path, ranges_of(tmp_path, rows, step=77))
    found = ds.dataset(tmp_path / "backup" / "topic", partitioning="hive", exclude_invalid_files=False, ignore_prefixes=[])
    of_day = found.to_table(filter=ds.field("dt") == "2022-01-08")
    assert (found.count_rows(), of_day.num_rows) == (900, 500)
    assert min(of_day["timestamp_ms"].to_pylist()) == MIDNIGHT_MS


def test_a_journal_with_a_hidden_name_is_a_topic(tmp_path: Path) -> None:
    """It was backed up, and then not found."""
    archive = Archive(Storage(str(tmp_path)), ".hidden.log")
    archive.manifest.generation_of("id")
    (tmp_path / "_manifest" / ".DS_Store").write_bytes(b"a file manager's")
    assert topics_at(Storage(str(tmp_path))) == [".hidden.log"]


def test_a_rest_alone_tells_of_a_file_that_is_gone(tmp_path: Path) -> None:
    """Nothing else may be left of a partition's last range."""
    rows = [row(number, MIDNIGHT_MS) for number in range(5, 10)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=5, file_format="jsonl"))
    (entry,) = archive.manifest.entries()
    (tmp_path / "backup" / entry.path).unlink()
    assert archive.unlisted([entry]) == {}
    assert archive.unlisted([]) == {rest_path(entry): 3}


def test_what_older_versions_kept_of_a_log_with_the_manifest_s_name_counts_once(tmp_path: Path) -> None:
    """`backup run` refuses such a log by now."""
    archive = Archive(Storage(str(tmp_path)), MANIFEST)
    archive.manifest.generation_of("id")
    with closing(Encoder(tmp_path)) as encoder:
        file = OpenFile(tmp_path, Origin(MANIFEST, "source", 1, 3), "parquet", encoder)
        file.write([row(0, MIDNIGHT_MS)])
        closed = file.close(0, 1, 7)
    archive.upload(closed)
    archive.manifest.add([closed.entry])
    assert archive.manifest.entries() == [closed.entry]
    assert topics_at(Storage(str(tmp_path))) == [MANIFEST]
