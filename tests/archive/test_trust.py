"""An archive that others wrote to, or that is broken: refused by name, never believed, never a traceback, never all the memory."""

import itertools
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry, spot_of
from devicesync.archive.files import digest_of
from devicesync.archive.parquet import GROUP_BYTES, SCHEMA
from devicesync.archive.parquet_footer import groups_of, metadata_of
from devicesync.archive.parquet_reading import LARGEST_RECORD
from devicesync.archive.ranges import ENTRY, MOST_DAYS, listing_path, write_erasures
from devicesync.archive.room import BATCH_BYTES
from devicesync.archive.storage import Storage
from devicesync.assembly.digests.source import ends_at_ms
from devicesync.clock import SYSTEM
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import Damaged
from devicesync.jobs.backup.prune import old_ranges
from devicesync.jobs.erase import erase_line
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.gather import LETTER_TIMES, gather
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import erases_in, record_of, refuse_the_future
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.state import State
from devicesync.log.full import LARGEST_BYTES, FullRecord
from devicesync.log.record_bytes import HEADER_BYTES, bytes_of
from devicesync.log.whole_lines import LONGEST_LINE_BYTES
from tests.archive.test_files import stored

if TYPE_CHECKING:
    from devicesync.log.port import Headers

IN_2200_MS = 7_258_118_400_000
ROWS: list[FullRecord] = [(number, 5, b"k", b"v", None) for number in range(10, 13)]
_numbers = itertools.count()


def listed_at(entry: Entry) -> str:
    """Where its entry lies."""
    return listing_path([entry], ENTRY)


def test_a_file_of_the_manifest_with_a_flipped_bit_is_damaged(tmp_path: Path) -> None:
    """Whichever it is. A digit of an entry said that more had been kept: those records never were, and nothing told it."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    begun = Archive(Storage(str(tmp_path / "begun")), "topic")
    begun.manifest.generation_of("identity")
    for path in (tmp_path / "backup" / listed_at(closed.entry), tmp_path / "begun/_manifest/topic/generation-1.json"):
        whole = path.read_bytes()
        for spot in range(len(whole)):
            path.write_bytes(whole[:spot] + bytes([whole[spot] ^ 1]) + whole[spot + 1 :])
            with pytest.raises(Damaged):
                _ = archive.manifest.entries(), begun.manifest.generation_of("identity")
        path.write_bytes(whole)
    assert (archive.manifest.entries(), begun.manifest.generation_of("identity")) == ([closed.entry], 1)


def changed(tmp_path: Path, **fields: Any) -> Archive:
    """An archive whose one entry was written over with these fields."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    entry = msgspec.structs.replace(closed.entry, **fields)
    (tmp_path / "backup" / listed_at(closed.entry)).write_bytes(msgspec.json.encode([entry]))
    return archive


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "../outside"},
        {"path": "topic/dt=1970-01-01/../../../outside"},
        {"path": "topic/dt=../1_3_10.parquet"},
        {"path": "topic/dt=1970-01-01/1_3_11.parquet"},
        {"path": "topic/_manifest/generation-1.json"},
        {"rest": {"path": "../outside", "bytes": 1, "sha256": ""}},
        {"topic": "other"},
        {"partition": 4},
        {"format": "csv"},
        {"format": "jsonl", "path": "topic/dt=1970-01-01/1_3_10.jsonl.gz"},  # whose rest is nowhere
        {"next_offset": 10},
        {"from_offset": 11},
        {"records": 0},
    ],
)
def test_an_entry_names_its_own_files_only(tmp_path: Path, fields: dict[str, Any]) -> None:
    """Prune removes what entries name, so a path may not lead out of the archive, nor to another's file."""
    (tmp_path / "outside").write_text("precious")
    archive = changed(tmp_path, **fields)
    with pytest.raises(Damaged, match=r"_manifest/topic/1/3/10\.json"):
        archive.manifest.entries()
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"closed_ms": -(10**30)},
        {"closed_ms": -1},
        {"last_ms": 10**30},
        {"first_ms": -(10**30)},
        {"next_offset": 10**30},
        {"record_bytes": -1},
        {"bytes": 1 << 63},
        {"records": 10**30},
        {"records": 4},
        {"partition": 100_000},
        {"generation": 1 << 63},
        {"rest": {"path": "x", "bytes": -1, "sha256": ""}},
    ],
)
def test_an_entry_has_numbers_that_a_file_can_have(tmp_path: Path, fields: dict[str, Any]) -> None:
    """What comes after counts on them: SQLite and Kafka's client, which take 64 bits."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    there = tmp_path / "backup" / listed_at(closed.entry)
    there.write_text(json.dumps([msgspec.to_builtins(closed.entry) | fields]))
    with pytest.raises(Damaged, match=r"_manifest/topic/1/3/10\.json (can't be read|has offsets or a count)"):
        archive.manifest.entries()


def test_an_entry_names_a_log_that_can_be(tmp_path: Path) -> None:
    """A restore keeps the name with each refused record: of 1 MB with 2,000 it wrote 3,453 MiB."""
    longest = "/" + "s" * 4094
    assert [entry.source for entry in changed(tmp_path, source=longest).manifest.entries()] == [longest]
    with pytest.raises(Damaged, match=r"_manifest/topic/1/3/10\.json can't be read.*source"):
        changed(tmp_path, source="s" * 4097).manifest.entries()


def test_a_range_has_no_more_files_than_days(tmp_path: Path) -> None:
    """A restore into a topic reads all of them side by side. A MiB of entries names thousands."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    for count, read in ((MOST_DAYS, MOST_DAYS), (MOST_DAYS + 1, 0)):
        entries = [
            msgspec.structs.replace(
                closed.entry,
                first_offset=at,
                next_offset=99,
                records=1,
                path=closed.entry.path.replace("_10.", f"_{spot_of(at, 10)}."),
            )
            for at in range(10, 10 + count)
        ]
        archive.manifest.add(entries)
        found: list[Damaged] = []
        assert len(archive.manifest.entries(found)) == read
    assert [damage.path for damage in found] == [listed_at(closed.entry)]


def test_the_entry_of_a_pruned_file_names_its_own_files_only(tmp_path: Path) -> None:
    """As `prune` removes what an interrupted one left."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    archive.manifest.prune([closed.entry], (), tmp_path)
    (there,) = (tmp_path / "backup").rglob("*.erasures.json")
    write_erasures(there, [], [msgspec.structs.replace(closed.entry, path="../outside")])
    with pytest.raises(Damaged, match="erasures"):
        list(archive.manifest.pruned())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'{"path":1}', b"\xff", b'{"a":' * 100_000, b'{"records":"many"}']
)
def test_a_broken_entry_is_named(tmp_path: Path, content: bytes) -> None:
    """Whatever it holds."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    there = tmp_path / "backup" / listed_at(closed.entry)
    there.write_bytes(content)
    found: list[Damaged] = []
    assert archive.manifest.entries(found) == []
    assert [damage.path for damage in found] == [listed_at(closed.entry)]


@pytest.mark.parametrize(
    "make", [lambda path: os.truncate(_made(path), 1 << 40), lambda path: os.truncate(_made(path), 5 << 20), os.mkfifo, os.mkdir]
)
def test_an_entry_without_end_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A terabyte of nothing, some MiB that no entries have, a pipe, a directory: it is neither read nor waited for."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    there = tmp_path / "backup" / listed_at(closed.entry)
    there.unlink()
    make(there)
    found: list[Damaged] = []
    assert archive.manifest.entries(found) == []
    assert [(damage.path, "more than" in damage.problem) for damage in found] == [(listed_at(closed.entry), True)]
    with pytest.raises(Damaged, match="more than"):
        archive.manifest.newest(closed.entry.generation, closed.entry.partition)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_data_file_without_end_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """Its size is 0, as its entry then says: it is neither read nor waited for."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    there = tmp_path / "backup" / closed.entry.path
    there.unlink()
    make(there)
    entry = msgspec.structs.replace(closed.entry, bytes=there.stat().st_size)
    with pytest.raises(Damaged, match="is missing"), archive.fetched(entry, tmp_path):
        pass


@pytest.mark.parametrize(("file_format", "is_rest"), [("parquet", False), ("jsonl", False), ("jsonl", True)])
def test_a_pipe_that_takes_a_file_s_place_is_named(tmp_path: Path, file_format: str, *, is_rest: bool) -> None:
    """Between its checksum and its reading, or just before its checksum: it is not waited for."""
    archive, closed = stored(tmp_path, ROWS, file_format)
    rest = closed.entry.rest
    there = tmp_path / "backup" / (rest.path if is_rest and rest else closed.entry.path)
    with archive.fetched(closed.entry, tmp_path) as rows:
        there.unlink()
        os.mkfifo(there)
        with pytest.raises(Damaged, match="it is no regular file"):
            list(rows)
    with pytest.raises(OSError, match="it is no regular file"):
        digest_of(there)


def _made(path: Path) -> Path:
    path.touch()
    return path


def with_file(tmp_path: Path, write: Callable[[Path], None]) -> tuple[Archive, Entry]:
    """An archive whose file somebody replaced, and whose entry agrees with it."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    there = tmp_path / "backup" / closed.entry.path
    write(there)
    return archive, msgspec.structs.replace(closed.entry, bytes=there.stat().st_size, sha256=digest_of(there))


def columns(count: int, value: Any) -> pa.Table:
    """So many rows, with these values."""
    numbers = pa.array(range(10, 10 + count), pa.int64())
    empty = pa.nulls(count, SCHEMA.field("headers").type)
    stamps = pa.array([5] * count, pa.int64())
    arrays = [pa.array([3] * count, pa.int32()), numbers, stamps, pa.nulls(count, pa.binary()), value, empty]
    return pa.Table.from_arrays(arrays, SCHEMA.names)


def bomb(path: Path) -> None:
    """A gigabyte in some KB: each row points to the same value."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array([b"x" * 100_000]))
    pq.write_table(columns(10_000, values), path, compression="zstd", store_schema=False, use_dictionary=["value"])


def plain_bomb(path: Path) -> None:
    """The same without a dictionary: compression alone."""
    values = pa.array([b"x" * 100_000] * 3000, pa.binary())
    pq.write_table(columns(3000, values), path, compression="zstd", store_schema=False, use_dictionary=False)


def understated(path: Path) -> None:
    """The same, and its footer says that it unpacks to little."""
    plain_bomb(path)
    content = path.read_bytes()
    size = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    told, instead = varint(2 * size), varint(2 * 2000)
    spot = content.rindex(told)
    filled = bytes([*(byte | 128 for byte in instead), *[128] * (len(told) - len(instead) - 1), 0])
    path.write_bytes(content[:spot] + filled + content[spot + len(told) :])
    assert pq.ParquetFile(path).metadata.row_group(0).total_byte_size == 2000


def of_many_rows(path: Path) -> None:
    """Three rows, and its footer says that a group has 60, so that more headers count as usual."""
    pq.write_table(columns(3, pa.array([b"v"] * 3, pa.binary())), path, compression="zstd", use_dictionary=False)
    content = path.read_bytes()
    told = varint(2 * pq.ParquetFile(path).metadata.row_group(0).total_byte_size) + b"\x16"
    start, end = content[: content.rindex(told)], content[content.rindex(told) + len(told) :]
    assert end[0] == 2 * 3
    path.write_bytes(start + told + varint(2 * 60) + end[1:])
    assert pq.ParquetFile(path).metadata.row_group(0).num_rows == 60


def of_two_rows(path: Path, compression: str = "zstd") -> None:
    """A row less than the entry says."""
    pq.write_table(columns(2, pa.array([b"a", b"b"])), path, compression=compression, use_dictionary=False)


def of_another_writer(path: Path) -> None:
    """It names a program whose columns Arrow takes to be longer than their own sizes say."""
    pq.write_table(columns(3, pa.array([b"v"] * 3, pa.binary())), path, compression="zstd", use_dictionary=False)
    name = pq.ParquetFile(path).metadata.created_by.encode()
    path.write_bytes(path.read_bytes().replace(name, b"parquet-mr version 1.2.8".ljust(len(name))))
    assert pq.ParquetFile(path).metadata.created_by.startswith("parquet-mr")


def varint(number: int) -> bytes:
    """As a footer has numbers."""
    low, rest = number & 127, number >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def one_value(path: Path) -> None:
    """A single row."""
    pq.write_table(columns(1, pa.array([b"\0" * (130 << 20)], pa.binary())), path, compression="zstd", use_dictionary=False)


def prefixes(path: Path) -> None:
    """Each value has the one before as its beginning."""
    values = pa.array([b"x" * 100_000] * 3000, pa.binary())
    pq.write_table(
        columns(3000, values), path, compression="zstd", use_dictionary=False, column_encoding={"value": "DELTA_BYTE_ARRAY"}
    )


def empty_headers(path: Path) -> None:
    """2,100,000 headers without a byte. In Python each takes a hundred, and twice as many with a name that is not Latin."""
    none = pa.nulls(2_100_000, SCHEMA.field("headers").type.value_type)
    headers = pa.ListArray.from_arrays(pa.array([0, len(none)], pa.int32()), none)
    table = columns(1, pa.array([b"v"], pa.binary())).set_column(5, "headers", headers)
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda path: path.write_bytes(b"no Parquet at all"), "can't be read"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "columns are not those"),
        (of_two_rows, "2 records"),
        (lambda path: of_two_rows(path, "snappy"), "packed otherwise"),
        (bomb, "dictionary"),
        (plain_bomb, "more than a backup writes"),
        (understated, "more than a backup writes"),
        (one_value, "more than a backup writes"),
        (prefixes, "dictionary, or share bytes"),
        (empty_headers, "more than a backup writes"),
        (of_many_rows, "3 values where its group has 60 rows"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, write: Callable[[Path], None], told: str) -> None:
    """Before it fills the memory."""
    archive, entry = with_file(tmp_path, write)
    with pytest.raises(Damaged, match=rf"1_3_10\.parquet.*{told}"), archive.fetched(entry, tmp_path) as batches:
        list(batches)


def test_what_a_footer_says_of_its_writer_does_not_reach_arrow(tmp_path: Path) -> None:
    """For some it reads 100 bytes behind a column: pages at which nobody looked took 5,103 MiB."""
    archive, entry = with_file(tmp_path, of_another_writer)
    with archive.fetched(entry, tmp_path) as batches:
        assert [row[3] for batch in batches for row in batch] == [b"v"] * 3
    (group,) = groups_of(tmp_path / "backup" / entry.path)
    assert not metadata_of(group, [3] * 7).created_by


def test_many_headers_take_little_more_than_they_are(tmp_path: Path) -> None:
    """A row of 4,500,000 took 1.4 GiB. Any producer can send records with many, so up to 870,000 are read."""
    many: FullRecord = (10, 5, None, b"v", [("", None)] * 100_000)
    archive, closed = stored(tmp_path, [many], "parquet")
    tracemalloc.start()
    try:
        with archive.fetched(closed.entry, tmp_path) as batches:
            assert list(batches) == [[many]]
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_the_largest_records_that_a_log_gives_are_read_back(tmp_path: Path, file_format: str) -> None:
    """Once a header counted 8 bytes: one record filled a group but for a byte, and the next was in that group too."""
    headers: Headers = [("", None)] * (GROUP_BYTES // 8 - 9)
    wide: Headers = [("a" * ((LARGEST_BYTES - HEADER_BYTES) // 4 - 1) + "\U0001f600", None)]
    largest: list[FullRecord] = [
        (11, 5, None, b"x" * LARGEST_BYTES, None),
        (11, 5, None, b"\n" * LARGEST_BYTES, None),
        (11, 5, None, None, wide),
    ]
    for number, record in enumerate(largest):
        assert bytes_of(record) == LARGEST_BYTES
        (tmp_path / str(number)).mkdir()
        archive, closed = stored(tmp_path / str(number), [(10, 5, None, None, headers), record], file_format)
        with archive.fetched(closed.entry, tmp_path) as batches:
            assert [row for batch in batches for row in batch] == [(10, 5, None, None, headers), record]


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("share", [0, 1, 3])
def test_a_record_that_no_log_gives_is_refused(tmp_path: Path, file_format: str, share: int) -> None:
    """Kafka's client does not take it either: a restore into a topic waited for ever. share: in quarters, of the value."""
    name = "a" * (LARGEST_RECORD * (4 - share) // 4)
    record: FullRecord = (10, 5, None, b"x" * (LARGEST_RECORD * share // 4), [(name, None)])
    archive, closed = stored(tmp_path, [record], file_format)
    with archive.fetched(closed.entry, tmp_path) as batches, pytest.raises(Damaged, match=r"a record has over 67,108,864 bytes"):
        list(batches)


def test_of_a_refused_value_that_is_too_long_the_beginning_is_kept(tmp_path: Path) -> None:
    """As of a line of a followed log: a file of some KB can hold hundreds of MB of them."""
    value = os.urandom(3_000_000)
    large: list[FullRecord] = [(10, 5, None, value, None), (11, 5, None, None, None), (12, 5, None, b"bad", None)]
    _, closed = stored(tmp_path, large, "parquet")
    buckets = Buckets(tmp_path / "buckets", 1)
    buckets.prepare()
    with closing(SqliteDeadLetters(tmp_path / "dead-letters.db")) as letters:
        gather(closed.entry, [large], Selection(), buckets, letters, max_clock_ahead_ms=0)
        found = {letter.offset: letter for letter in letters.each()}
    assert {offset: letter.value for offset, letter in found.items()} == {10: value[:LONGEST_LINE_BYTES], 11: b"", 12: b"bad"}
    assert found[10].is_in_part


@pytest.mark.parametrize(("size", "key"), [(1 << 20, None), (1, None), (1, b"k" * (1 << 20))])
@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_few_bytes_of_a_file_do_not_become_dead_letters_without_end(
    tmp_path: Path, file_format: str, size: int, key: bytes | None
) -> None:
    """400 KB of Parquet made 2 GB. What is not kept is counted."""
    count = 40_000 if key is None and size == 1 else 40
    rows: list[FullRecord] = [(10 + number, 5, key, b"x" * size, None) for number in range(count)]
    _, closed = stored(tmp_path, rows, file_format)
    file = tmp_path / "dead-letters.db"
    buckets = Buckets(tmp_path / "buckets", 1)
    buckets.prepare()
    with closing(SqliteDeadLetters(file)) as letters:
        found = gather(closed.entry, [rows[:7], rows[7:]], Selection(), buckets, letters, max_clock_ahead_ms=0)
        there = sum(1 for _ in letters.each())
    taken = closed.entry.bytes + (closed.entry.rest.bytes if closed.entry.rest else 0)
    assert (found.dead, there + found.not_kept) == (count, count)
    assert found.not_kept > 0
    assert file.stat().st_size < 2 * LETTER_TIMES * taken + 100_000


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_no_more_records_are_read_than_the_entry_says(tmp_path: Path, file_format: str) -> None:
    """By their number a restore divides what it reads."""
    rows: list[FullRecord] = [(number, 5, None, b"x", None) for number in range(25_000)]
    archive, closed = stored(tmp_path, rows, file_format)
    read: list[FullRecord] = []
    entry = msgspec.structs.replace(closed.entry, records=15_000)
    with archive.fetched(entry, tmp_path) as batches, pytest.raises(Damaged, match="instead of 15,000"):
        read.extend(row for batch in batches for row in batch)
    assert 0 < len(read) <= 15_000


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_no_more_bytes_are_read_than_the_entry_says(tmp_path: Path, file_format: str) -> None:
    """By them too. The oldest backups counted keys, values and headers alone."""
    rows: list[FullRecord] = [(number, 5, b"key", b"x" * 1000, None) for number in range(25_000)]
    archive, closed = stored(tmp_path, rows, file_format)
    read: list[FullRecord] = []
    oldest, forged = (msgspec.structs.replace(closed.entry, record_bytes=size) for size in (1003 * 25_000, 1000 * 25_000 - 1))
    with archive.fetched(oldest, tmp_path) as batches:
        assert sum(map(len, batches)) == 25_000
    with archive.fetched(forged, tmp_path) as batches, pytest.raises(Damaged, match="more than the 24,999,999 bytes"):
        read.extend(row for batch in batches for row in batch)
    assert 0 < len(read) < 25_000


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("said", [(3, 8), (3, 6), (6, 8), (4, 7), (2, 7), (3, 9), (None, None), (None, 7), (3, None), (7, 3)])
def test_records_have_the_times_that_the_entry_says(
    tmp_path: Path, file_format: str, said: tuple[int | None, int | None]
) -> None:
    """Its times say what a prune removes. One that says less is found before a record of another time is used."""
    rows: list[FullRecord] = [(10, 5, None, b"x", None), (11, 7, None, b"x", None), (12, None, None, b"x", None)]
    rows += [(number, 3, None, b"x", None) for number in range(13, 12_000)]
    archive, closed = stored(tmp_path, rows, file_format)
    assert (closed.entry.first_ms, closed.entry.last_ms) == (3, 7)
    entry = msgspec.structs.replace(closed.entry, first_ms=said[0], last_ms=said[1])
    with archive.fetched(entry, tmp_path) as batches, pytest.raises(Damaged, match=r"1_3_10.* other times than its entry says"):
        assert [row for batch in batches for row in batch if row[1] not in (None, *range(said[0] or 9, 1 + (said[1] or 0)))] == []


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_records_without_a_time_are_read(tmp_path: Path, file_format: str) -> None:
    """Their entry says none."""
    rows: list[FullRecord] = [(10, None, None, b"x", None)]
    archive, closed = stored(tmp_path, rows, file_format)
    with archive.fetched(closed.entry, tmp_path) as batches:
        assert list(batches) == [rows]
    forged = msgspec.structs.replace(closed.entry, first_ms=5, last_ms=5)
    with archive.fetched(forged, tmp_path) as batches, pytest.raises(Damaged, match="other times"):
        list(batches)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_batches_are_bounded_by_bytes(tmp_path: Path, file_format: str) -> None:
    """Ten thousand rows may be gigabytes."""
    large: list[FullRecord] = [(number, 5, None, b"x" * 1_000_000, None) for number in range(40)]
    archive, closed = stored(tmp_path, large, file_format)
    with archive.fetched(closed.entry, tmp_path) as batches:
        sizes = [sum(len(row[3] or b"") for row in batch) for batch in batches]
    assert (sum(sizes), max(sizes) <= BATCH_BYTES + 1_000_000) == (40_000_000, True)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_files_that_are_read_side_by_side_have_the_batches_of_one(tmp_path: Path, file_format: str) -> None:
    """They may be sixteen, and in Python their rows take three times as much."""
    rows: list[FullRecord] = [(number, 5, None, b"x" * 10_000, None) for number in range(10, 1_010)]
    archive, closed = stored(tmp_path, rows, file_format)
    with archive.side_by_side([closed.entry] * 8, tmp_path) as opened:
        sizes = [sum(len(row[3] or b"") for row in next(batches)) for _, batches in opened]
    assert BATCH_BYTES // 2 < sum(sizes) <= BATCH_BYTES + 8 * 10_000


def test_dates_in_the_future_are_not_believed(tmp_path: Path) -> None:
    """Whoever writes the archive writes its times too: versions are guarded by now as well, and old files are still old."""
    archive, closed = stored(tmp_path, ROWS, "parquet")
    entry = msgspec.structs.replace(closed.entry, closed_ms=IN_2200_MS)
    for logged_ms in (IN_2200_MS, None):
        assert record_of((10, logged_ms, None, b"{}", None), entry, 300_000).taken_ms <= time.time_ns() // 1_000_000 + 300_000
    assert ends_at_ms([msgspec.structs.replace(entry, last_ms=IN_2200_MS)]) <= time.time_ns() // 1_000_000
    after = msgspec.structs.replace(entry, from_offset=13, first_offset=13, next_offset=14)
    later = msgspec.structs.replace(entry, last_ms=IN_2200_MS)
    assert list(old_ranges([later, after], time.time_ns() // 1_000_000 + 1000)) == [[later]]
    assert list(old_ranges([later, after], time.time_ns() // 1_000_000 + 1000, [later])) == []
    untimed = msgspec.structs.replace(later, first_ms=None, last_ms=None, closed_ms=5_000)
    assert [*old_ranges([untimed, after], 5_001)] == [[untimed]]
    assert list(old_ranges([untimed, after], 5_000)) == []  # it counted as of 1970
    young = msgspec.structs.replace(entry, last_ms=5_000, closed_ms=0)
    assert list(old_ranges([young, after], 5_000)) == [], "an entry that said that it was closed long ago had it removed"
    archive.manifest.prune(
        [entry],
        [("sleeper", IN_2200_MS * 1000), *((name, 1_700_000_000_000_000) for name in ("erased", "", "a\0b", "x" * 257))],
        tmp_path,
    )
    assert list(pruned_erasures(archive, 300_000)) == [{"erased": State(erased=1_700_000_000_000_000)}]


def test_no_time_of_an_entry_has_a_record_refused(tmp_path: Path) -> None:
    """Closed in 1970, by an entry alone, a file's erases counted as refused: erased devices came back, and `verify` said nothing."""
    rows: list[FullRecord] = [(10, 1_700_000_000_000, None, erase_line("erased", 1_700_000_000_000_000), None)]
    _, closed = stored(tmp_path, rows, "parquet")
    for closed_ms in (0, IN_2200_MS):
        entry = msgspec.structs.replace(closed.entry, closed_ms=closed_ms)
        assert [event.device_id for event in erases_in(rows, entry, 0)] == ["erased"]
        assert erases_in([(10, 1_600_000_000_000, *rows[0][2:])], entry, 0) == []


@pytest.mark.parametrize("has_log_time", [True, False])
def test_a_clock_behind_judges_as_the_right_one_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_log_time: bool
) -> None:
    """An erase whose version is as far past the log's time as the law allows was refused: its device came back, and stayed."""
    closed_ms, ahead_ms = 1_700_000_000_000, 300_000
    version = (closed_ms + ahead_ms) * 1000
    row: FullRecord = (10, closed_ms if has_log_time else None, None, erase_line("erased", version), None)
    archive, closed = stored(tmp_path, [row], "parquet")
    entry = msgspec.structs.replace(closed.entry, closed_ms=closed_ms)
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: closed_ms - ahead_ms, raising=False)
    refuse_the_future([entry], ahead_ms)
    assert [event.version for event in erases_in([row], entry, ahead_ms)] == [version]
    archive.manifest.prune([entry], {"erased": version, "later": version + 1}.items(), tmp_path)
    assert list(pruned_erasures(archive, ahead_ms)) == [{"erased": State(erased=version)}]
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: closed_ms - ahead_ms - 1, raising=False)
    with pytest.raises(Damaged, match="past now"):
        refuse_the_future([entry], ahead_ms)
