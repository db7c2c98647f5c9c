"""A forged footer can make Arrow end the process (SIGABRT), where no `except` helps. So Arrow never gets it."""

import copy
import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.archive.encoder import Encoder
from devicesync.archive.parquet import ParquetWriter
from devicesync.archive.parquet_footer import groups_of, metadata_of
from devicesync.archive.parquet_reading import read_parquet
from devicesync.archive.room import Room
from devicesync.archive.thrift_compact import I32, I64, Reader
from devicesync.log.full import FullRecord
from tests.archive.reading_process import ReadingProcess, digest, reading_process
from tests.archive.thrift_tree import STRUCT, Struct, field, joined, parted
from tests.fuzz.mutation import tries

ROWS: list[FullRecord] = [
    (10, 5, b"k", b"value", [("a", b"1"), ("b", None)]),
    (11, None, None, None, None),
    (12, 7, b"", b"x" * 40, None),
]
KEY, HEADER = 3, 5
_GROUPS, _COLUMNS, _GROUP_ROWS, _DATA, _CODEC, _PAGES, _STATISTICS, _SIZES = 4, 1, 3, 3, 4, 9, 12, 16
"""The numbers of fields."""
_numbers = itertools.count()


def honest(directory: Path, groups: list[list[FullRecord]]) -> bytes:
    """What a file of these row groups holds."""
    path = directory / str(next(_numbers))
    with closing(Encoder(directory)) as encoder:
        writer = ParquetWriter(path, 3, encoder)
        for rows in groups:
            writer.write(rows)
            writer.end_group()
        writer.close()
    return path.read_bytes()


def column(footer: Struct, number: int, *path: int) -> list[list[object]]:
    """Of the first row group: the fields of a column's data, or of a struct in it."""
    value: list[list[object]] = field(footer, _GROUPS, 0, _COLUMNS)[2][1][number]
    for step in (_DATA, *path):
        value = field(value, step)[2]
    return value


def histogram_of(number: int, which: int) -> Callable[[Struct], None]:
    """A histogram has one level more than the column can have."""
    return lambda footer: field(column(footer, number, _SIZES), which)[2][1].append(0)


def with_a_histogram_in_a_column_without(footer: Struct) -> None:
    """As in a file of a version of Arrow that wrote none."""
    data = column(footer, KEY)
    data[:] = [*(each for each in data if each[0] != _SIZES), [_SIZES, STRUCT, [[3, 9, (I64, [1] * 5)]]]]


def with_bytes_of_values_that_have_none(footer: Struct) -> None:
    """The bytes of its values are said of a column of numbers."""
    column(footer, 1, _SIZES).insert(0, [1, I64, 8])


def with_another_column(footer: Struct) -> None:
    """The group has one more than the schema."""
    columns = field(footer, _GROUPS, 0, _COLUMNS)[2][1]
    columns.append(copy.deepcopy(columns[-1]))


def without_a_column(footer: Struct) -> None:
    """The group has one less than the schema."""
    field(footer, _GROUPS, 0, _COLUMNS)[2][1].pop()


def with_statistics_of_no_number(footer: Struct) -> None:
    """The least time is one byte."""
    field(column(footer, 2, _STATISTICS), 6)[2] = b"x"


def of_another_schema(footer: Struct) -> None:
    """The times may not be absent."""
    field(field(footer, 2)[2][1][3], 3)[2] = 0


def of_rows_without_end(footer: Struct) -> None:
    """The group has as many as a number can say."""
    field(footer, _GROUPS, 0, _GROUP_ROWS)[2] = (1 << 63) - 1


def packed_otherwise(footer: Struct) -> None:
    """A column says that it is packed with gzip."""
    field(column(footer, KEY), _CODEC)[2] = 2


def with_many_fields(footer: Struct) -> None:
    """Lists in lists, deeper than any footer has them."""
    deep: object = [1]
    kind = I32
    for _ in range(100):
        deep, kind = [(kind, deep)], 9
    footer.insert(4, [5, 9, (kind, deep)])


def with_a_field_of_tomorrow(footer: Struct) -> None:
    """A later version of Arrow writes one that we don't know."""
    column(footer, KEY).append([20, STRUCT, [[1, I64, 5]]])


@pytest.fixture(scope="module")
def reading() -> Iterator[ReadingProcess]:
    """One for all tests of this module."""
    with reading_process() as process:
        yield process


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (histogram_of(KEY, 3), None),
        (histogram_of(HEADER, 2), None),
        (with_a_histogram_in_a_column_without, None),
        (with_bytes_of_values_that_have_none, None),
        (with_statistics_of_no_number, None),
        (with_a_field_of_tomorrow, None),
        (with_another_column, "other columns"),
        (without_a_column, "other columns"),
        (of_another_schema, "not those of a backup"),
        (of_rows_without_end, "3 values where its group has"),
        (packed_otherwise, "packed otherwise"),
        (with_many_fields, "fields that no Parquet file has"),
    ],
)
def test_a_forged_footer_ends_no_process(
    tmp_path: Path, reading: ReadingProcess, forge: Callable[[Struct], None], told: str | None
) -> None:
    """It is refused, or what was forged is nothing that we read: None."""
    body, footer = parted(honest(tmp_path, [ROWS]))
    forge(footer)
    path = tmp_path / "forged"
    path.write_bytes(joined(body, footer))
    answer = reading.answer(path)
    assert told in answer if told else answer == digest(ROWS)


def test_any_footer_is_refused_or_the_rows_are_read(tmp_path: Path, reading: ReadingProcess) -> None:
    """With some of its bytes changed, put in or cut out."""
    good = honest(tmp_path, [ROWS[:2], ROWS[2:]])
    size = int.from_bytes(good[-8:-4], "little")
    body, footer = good[: -8 - size], good[-8 - size : -8]
    path = tmp_path / "forged"
    changes = st.tuples(st.integers(0, size), st.integers(0, 2), st.binary(max_size=2))

    @tries(600)
    @given(st.lists(changes, min_size=1, max_size=4))
    def fuzz(drawn: list[tuple[int, int, bytes]]) -> None:
        held = footer
        for begin, gone, instead in drawn:
            held = held[:begin] + instead + held[begin + gone :]
        path.write_bytes(body + held + len(held).to_bytes(4, "little") + b"PAR1")
        answer = reading.answer(path)
        assert answer.startswith("refused") or answer == digest(ROWS)

    fuzz()


def test_a_file_without_rows_has_none(tmp_path: Path) -> None:
    """As a redact leaves one of which all records were the device's."""
    path = tmp_path / "empty"
    path.write_bytes(honest(tmp_path, []))
    assert list(read_parquet(path, Room())) == []


def test_the_trees_of_these_tests_are_what_files_have(tmp_path: Path) -> None:
    """A file of an unchanged tree is the same to us."""
    good = honest(tmp_path, [ROWS[:1], ROWS[1:]])
    path = tmp_path / "same"
    path.write_bytes(joined(*parted(good)))
    assert [len(group.columns) for group in groups_of(path)] == [7, 7]
    assert [row for rows in read_parquet(path, Room()) for row in rows] == ROWS


@pytest.mark.parametrize("size", [0, 4, 8, 11, 12])
def test_a_file_without_a_footer_is_refused(tmp_path: Path, size: int) -> None:
    """However short it is."""
    path = tmp_path / "short"
    path.write_bytes((b"\xff" * 8 + b"PAR1")[-size:] if size else b"")
    with pytest.raises(ValueError, match="no Parquet file"):
        list(groups_of(path))


def test_a_footer_without_end_is_refused(tmp_path: Path) -> None:
    """Before it is read."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write((512 << 20).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="more than a backup writes"):
        list(groups_of(path))


def test_a_row_group_takes_little_in_a_footer(tmp_path: Path) -> None:
    """So no file that we write has a footer that we refuse: one of 15,000 groups, with numbers of many digits, has 12 MB."""
    rows: list[FullRecord] = [
        ((1 << 62) + number, (1 << 61) - number, b"k" * 999, b"v" * 999, [("h", b"h" * 99)]) for number in range(400)
    ]
    one, two = (len(honest(tmp_path, [rows] * count)) for count in (1, 2))
    (body, _), (bodies, _) = parted(honest(tmp_path, [rows])), parted(honest(tmp_path, [rows] * 2))
    assert (two - len(bodies)) - (one - len(body)) < 800


def of_the_same_group(footer: Struct) -> None:
    """The second group names the bytes of the first one."""
    groups = field(footer, _GROUPS)[2][1]
    groups[1] = copy.deepcopy(groups[0])


def of_the_same_column(footer: Struct) -> None:
    """The value's bytes are the key's."""
    field(column(footer, KEY + 1), _PAGES)[2] = field(column(footer, KEY), _PAGES)[2]


@pytest.mark.parametrize("forge", [of_the_same_group, of_the_same_column])
def test_columns_that_share_bytes_are_refused(tmp_path: Path, forge: Callable[[Struct], None]) -> None:
    """1.2 MB of 300 row groups that named the same bytes took 299 s."""
    body, footer = parted(honest(tmp_path, [ROWS, ROWS]))
    forge(footer)
    path = tmp_path / "forged"
    path.write_bytes(joined(body, footer))
    with pytest.raises(ValueError, match="share bytes"):
        list(read_parquet(path, Room()))


def test_arrow_reads_what_was_looked_at(tmp_path: Path) -> None:
    """It gets the places of the columns, the rows and the values that it is to read, and nothing else."""
    path = tmp_path / "file"
    path.write_bytes(honest(tmp_path, [ROWS]))
    (group,) = groups_of(path)
    metadata = metadata_of(group, [3, 3, 3, 3, 3, 4, 4])
    read = metadata.row_group(0)
    columns = [read.column(number) for number in range(read.num_columns)]
    assert (metadata.num_rows, read.num_rows, metadata.created_by, metadata.metadata) == (3, 3, "", None)
    assert [(each.data_page_offset, each.total_compressed_size) for each in columns] == group.columns
    assert [each.num_values for each in columns] == [3, 3, 3, 3, 3, 4, 4]
    assert [each.compression for each in columns] == ["ZSTD"] * 7
    assert {(each.dictionary_page_offset, each.statistics) for each in columns} == {(None, None)}


@pytest.mark.parametrize(
    ("held", "told"),
    [
        ("1502 0502 00", "twice"),
        ("2502 0502 00", "another order"),
        ("1602 00", "another type"),
        ("1582 8080 8020 00", "too large"),
        ("1582 8080 8080 8080 8080 8000 00", "too long"),
        ("49f5 ffff ffff 0f", "values, more than"),
        ("4b00", "that no Parquet file has"),
        ("48 ffff ffff 0f", "no end"),
        ("15", "no end"),
        ("", "no end"),
    ],
)
def test_what_is_no_struct_is_refused(held: str, told: str) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(ValueError, match=told):
        Reader(bytes.fromhex(held), "it").struct({1: I32})


def test_what_is_not_asked_for_is_passed_over() -> None:
    """A byte, a true, a false, a double, a text, a list of each kind, structs."""
    held = "1304 11 12 17 0102030405060708 1803616263 1935020406 192101 02 191c00 1c1502 00 1502 00"
    reader = Reader(bytes.fromhex(held), "it")
    assert reader.struct({10: I32}) == {10: 1}
    assert reader.at == len(bytes.fromhex(held))
