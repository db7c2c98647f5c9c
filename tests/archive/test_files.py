"""What goes into a file of the backup comes out of it, in both formats, whatever the records are."""

import gzip
import tempfile
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import Origin
from devicesync.archive.files import ClosedFile, OpenFile
from devicesync.archive.parquet import GROUP_BYTES
from devicesync.archive.storage import Storage
from devicesync.errors import Damaged
from devicesync.jobs.backup.partition_backup import PartitionBackup, sizes_of
from devicesync.log.full import FullRecord
from tests.simulation.clocks import ProcessClock, Time

_bytes = st.binary(max_size=20)
_headers = st.none() | st.lists(st.tuples(st.text(max_size=3), st.none() | _bytes), min_size=1, max_size=3)
_values = st.none() | st.sampled_from([b"", b"\n", b"\r\n", b" ", b'{"a":\n1}', b'{"device_id":"x"}']) | _bytes
_rows = st.lists(
    st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2**45), st.none() | _bytes, _values, _headers),
    min_size=1,
    max_size=30,
)


def numbered(rows: list[FullRecord]) -> list[FullRecord]:
    """The first number of each row is how many offsets the log leaves out before it."""
    offset, result = 40, []
    for row in rows:
        offset += 1 + row[0]
        result.append((offset, *row[1:]))
    return result


def stored(directory: Path, rows: list[FullRecord], file_format: str) -> tuple[Archive, ClosedFile]:
    """An archive with one file of these rows."""
    with closing(Encoder(directory)) as encoder:
        file = OpenFile(directory, Origin("topic", "source", 1, 3), file_format, encoder)
        file.write(rows)
        closed = file.close(rows[0][0], rows[-1][0] + 1, sum(sizes_of(rows)))
    archive = Archive(Storage(str(directory / "backup")), "topic")
    archive.upload(closed)
    archive.manifest.add([closed.entry])
    return archive, closed


@pytest.mark.parametrize(("has_log_time", "closed_ms"), [(True, 5_000), (False, 3_000)])
def test_a_file_is_not_closed_before_the_log_s_own_clock_had_its_last_record(
    tmp_path: Path, *, has_log_time: bool, closed_ms: int
) -> None:
    """Else a restore would refuse what came since by a clock of ours that is behind. A producer's time is not believed so."""
    time = Time()
    time.now_us = 3_000_000
    clock = ProcessClock(time)
    with closing(Encoder(tmp_path)) as encoder:
        file = OpenFile(tmp_path, Origin("topic", "source", 1, 3), "parquet", encoder, clock=clock, has_log_time=has_log_time)
        file.write([(0, 5_000, None, b"{}", None)])
        assert file.close(0, 1, 2).entry.closed_ms == closed_ms


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@given(drawn=_rows)
def test_every_record_comes_back_whole(file_format: str, drawn: list[FullRecord]) -> None:
    """Keys, headers, times, tombstones, line feeds, bytes that are no text."""
    rows = numbered(drawn)
    with tempfile.TemporaryDirectory() as name:
        archive, closed = stored(Path(name), rows, file_format)
        (entry,) = archive.manifest.entries()
        assert entry == closed.entry
        assert (entry.records, entry.first_offset, entry.next_offset) == (len(rows), rows[0][0], rows[-1][0] + 1)
        with archive.fetched(entry, Path(name)) as batches:
            assert [row for batch in batches for row in batch] == rows


def test_parquet_has_the_columns_that_are_promised(tmp_path: Path) -> None:
    """For readers that are not ours: docs/backup.md."""
    rows: list[FullRecord] = [(7, 1_566_383_863_167, b"k", b"v", [("h", b"1")]), (8, None, None, None, None)]
    _, closed = stored(tmp_path, rows, "parquet")
    assert closed.entry.path == "topic/dt=2019-08-21/1_3_7.parquet"
    table = pq.read_table(tmp_path / "backup" / closed.entry.path, partitioning=None)
    assert table.schema.names == ["partition", "offset", "timestamp_ms", "key", "value", "headers"]
    assert table.to_pylist() == [
        {"partition": 3, "offset": 7, "timestamp_ms": 1_566_383_863_167, "key": b"k", "value": b"v", "headers": [{"name": "h", "value": b"1"}]},
        {"partition": 3, "offset": 8, "timestamp_ms": None, "key": None, "value": None, "headers": None},
    ]  # fmt: skip


def test_json_lines_are_the_values_line_by_line(tmp_path: Path) -> None:
    """As Secor writes them: one line a record, JSON as it was but for line feeds between its tokens."""
    rows: list[FullRecord] = [(1, 5, b"k", b'{"a":1}', None), (2, 5, None, None, None), (3, 5, None, b'{"b":\n2}', None)]
    _, closed = stored(tmp_path, rows, "jsonl")
    assert closed.entry.path == "topic/dt=1970-01-01/1_3_1.jsonl.gz"
    assert gzip.decompress((tmp_path / "backup" / closed.entry.path).read_bytes()) == b'{"a":1}\n\n{"b": 2}\n'


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_the_same_records_make_the_same_bytes(tmp_path: Path, file_format: str) -> None:
    """However they were polled: a zombie that writes a file once more must not make its checksum wrong."""
    rows: list[FullRecord] = [
        (number, 5, None, b"%d" % number * 200, [("h", b"%d" % number)] if number % 3 else None) for number in range(20_000)
    ]
    sums = []
    for step in (len(rows), 777):
        with closing(Encoder(tmp_path)) as encoder:

            def open_file(part: PartitionBackup, encoder: Encoder = encoder) -> OpenFile:
                return OpenFile(tmp_path, Origin("topic", "source", 1, part.partition), file_format, encoder)

            part = PartitionBackup(3, 1, "id", 0, None)
            for start in range(0, len(rows), step):
                assert part.keep(rows[start : start + step], 1 << 40, open_file) == []
            part.end()
            part.finish()
        (closed,) = part.closed
        assert part.bytes > 2 * GROUP_BYTES
        sums.append((closed.entry.sha256, closed.entry.rest and closed.entry.rest.sha256))
    assert sums[0] == sums[1]


@pytest.mark.parametrize("is_closed", [True, False])
@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_no_record_stays_beside_a_file_that_is_done(tmp_path: Path, file_format: str, *, is_closed: bool) -> None:
    """In what its groups waited in, which the next file takes. Else a backup kept erased devices in clear text while it ran."""
    with closing(Encoder(tmp_path)) as encoder:
        file = OpenFile(tmp_path, Origin("topic", "source", 1, 3), file_format, encoder)
        for start in range(0, 6_000, 2_000):
            file.write([(start + number, 5, b"PLANTED", b"PLANTED\n" + b"t" * 1_000, None) for number in range(2_000)])
            file.end_group()
        if is_closed:
            file.close(0, 6_000, 7).discard()
        else:
            file.write([(6_000, 5, b"PLANTED", b"PLANTED\n", None)])
            file.discard()
        left = [path.read_bytes() for path in tmp_path.iterdir()]
    assert left
    assert not any(b"PLANTED" in each for each in left)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_records_without_bytes_fill_groups_and_files_too(tmp_path: Path, file_format: str) -> None:
    """Any producer can send millions of them in few bytes. What is read back is as many, and so is what a group has."""
    rows: list[FullRecord] = [(number, 5, None, None, None) for number in range(200_000)]
    with closing(Encoder(tmp_path)) as encoder:
        part = PartitionBackup(3, 1, "id", 0, None)
        left = part.keep(
            rows, 2 * GROUP_BYTES, lambda _: OpenFile(tmp_path, Origin("topic", "source", 1, 3), file_format, encoder)
        )
        assert part.is_full
        assert len(left) == 200_000 - 2 * GROUP_BYTES // 64
        part.end()
        part.finish()
    (closed,) = part.closed
    metadata = pq.read_metadata(closed.rest_here or closed.here)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [GROUP_BYTES // 64] * 2
    archive = Archive(Storage(str(tmp_path / "backup")), "topic")
    archive.upload(closed)
    with archive.fetched(closed.entry, tmp_path) as batches:
        assert [row for batch in batches for row in batch] == rows[: -len(left)]


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, file_format: str, harm: str) -> None:
    """Before a record of it is handed out."""
    archive, closed = stored(tmp_path, [(1, 5, b"k", b'{"a":1}', None)], file_format)
    file = tmp_path / "backup" / closed.entry.path
    content = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "cut" else content[:20] + bytes([content[20] ^ 1]) + content[21:])
    with pytest.raises(Damaged, match=r"1_3_1\."), archive.fetched(closed.entry, tmp_path):
        pass
