"""The footer of a Parquet file: read here, and never by Arrow, which a forged one can make end the process.

Of each group we take the number of its rows, and where its columns are. Arrow gets a footer that we write from these. So it
reads what we looked at, and nothing else that a footer can say reaches it: sizes, statistics, histograms, other files.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from devicesync.archive.parquet import SCHEMA
from devicesync.archive.thrift_compact import BINARY, I32, I64, LIST, STRUCT, Reader, written_list, written_number, written_struct
from devicesync.durable import opened

_MAGIC, _END_BYTES = b"PAR1", 8
_LARGEST_BYTES = 16 << 20
"""A file of 8 GiB, the largest that `backup run` writes, has 12 MB: 1,400 row groups, each cut into eleven by a redact."""
_VERSION, _SCHEMA, _ALL_ROWS, _GROUPS = 1, 2, 3, 4
"""The numbers of a footer's fields; then of a row group's, a column's, and of those of its part `_DATA`."""
_COLUMNS, _BYTES, _ROWS = 1, 2, 3
_PLACE, _DATA = 2, 3
_TYPE, _ENCODINGS, _PATH, _CODEC, _VALUES, _UNPACKED, _PACKED, _PAGES, _DICTIONARY = 1, 2, 3, 4, 5, 6, 7, 9, 11
_GROUP_TYPES = {_COLUMNS: [{_DATA: {_CODEC: I32, _PACKED: I64, _PAGES: I64, _DICTIONARY: I64}}], _ROWS: I64}
_ELEMENT_TYPES = {_TYPE: I32, 3: I32, 4: BINARY, 5: I32}
"""Of a column, or of what has columns: type, whether it may be absent or repeated, name, how many are in it."""
_ZSTD = 6


class Column(NamedTuple):
    """begin: where its first page is. bytes: what its pages take in the file."""

    begin: int
    bytes: int


class Group(NamedTuple):
    """A row group. rows: how many it has, as the footer says."""

    rows: int
    columns: list[Column]


def groups_of(path: Path) -> Iterator[Group]:
    """Yield the file's row groups, in order. Raises OSError, ValueError for a footer that is not one of ours."""
    with opened(path) as file:
        held = _footer_in(file)
    footer = Reader(held, "its footer")
    fields = footer.fields()
    for expected in ((_VERSION, I32), (_SCHEMA, LIST), (_ALL_ROWS, I64), (_GROUPS, LIST)):
        if next(fields, None) != expected:
            raise ValueError("its footer does not begin as ours")
        if expected[0] == _GROUPS:
            yield from _apart(map(_group, footer.structs(_GROUP_TYPES, _LARGEST_BYTES)))
        elif expected[0] != _SCHEMA:
            footer.pass_over(expected[1])
        elif list(footer.structs(_ELEMENT_TYPES)) != _our_columns()[0]:
            raise ValueError("its columns are not those of a backup")
    for _, kind in fields:
        footer.pass_over(kind)
    if footer.at != len(held):
        raise ValueError("its footer does not end as ours")


def _apart(groups: Iterator[Group]) -> Iterator[Group]:
    """Yield the groups while each column begins where the one before has ended, or later. So no bytes are looked at twice."""
    end = 0
    for group in groups:
        for column in group.columns:
            if column.begin < end:
                raise ValueError("columns share bytes, or have another order than a backup writes")
            end = column.begin + column.bytes
        yield group


def metadata_of(group: Group, values: Sequence[int]) -> Any:
    """What Arrow takes for the footer of a file that has this group alone. values: how many are in each column."""
    _, types, schema = _our_columns()
    chunks = [_chunk(*each) for each in zip(types, group.columns, values, strict=True)]
    rows, nothing = written_number(group.rows), written_number(0)
    written = written_struct((_COLUMNS, LIST, written_list(STRUCT, *chunks)), (_BYTES, I64, nothing), (_ROWS, I64, rows))
    footer = written_struct(
        (_VERSION, I32, written_number(2)),
        (_SCHEMA, LIST, schema),
        (_ALL_ROWS, I64, rows),
        (_GROUPS, LIST, written_list(STRUCT, written)),
    )
    return pq.read_metadata(pa.BufferReader(_MAGIC + footer + len(footer).to_bytes(4, "little") + _MAGIC))


def _footer_in(file: BinaryIO) -> bytes:
    end = file.seek(0, 2) - _END_BYTES
    file.seek(max(end, 0))
    told = file.read()
    size = int.from_bytes(told[:4], "little")
    if told[4:] != _MAGIC or size > end:
        raise ValueError("it is no Parquet file")
    if size > _LARGEST_BYTES:
        raise ValueError(f"its footer has {size:,} bytes, more than a backup writes")
    file.seek(end - size)
    return file.read(size)


def _group(read: dict[int, Any]) -> Group:
    columns = [column.get(_DATA, {}) for column in read.get(_COLUMNS, [])]
    if len(columns) != len(_our_columns()[1]) or any(column.get(_CODEC) != _ZSTD for column in columns):
        raise ValueError("a row group has other columns than a backup writes, or they are packed otherwise")
    places = [Column(column.get(_DICTIONARY) or column.get(_PAGES, 0), column.get(_PACKED, 0)) for column in columns]
    return Group(read.get(_ROWS, 0), places)


def _chunk(kind: int, column: Column, values: int) -> bytes:
    packed, nothing = written_number(column.bytes), written_list(BINARY)
    fields = {
        _TYPE: (I32, written_number(kind)),
        _ENCODINGS: (LIST, written_list(I32)),
        _PATH: (LIST, nothing),
        _CODEC: (I32, written_number(_ZSTD)),
        _VALUES: (I64, written_number(values)),
        _UNPACKED: (I64, packed),
        _PACKED: (I64, packed),
        _PAGES: (I64, written_number(column.begin)),
    }
    data = written_struct(*((number, *field) for number, field in fields.items()))
    return written_struct((_PLACE, I64, written_number(0)), (_DATA, STRUCT, data))


@cache
def _our_columns() -> tuple[list[dict[int, Any]], list[int], bytes]:
    """Our columns as Arrow writes them: what `_ELEMENT_TYPES` names, the type of each that has values, and the bytes."""
    sink = pa.BufferOutputStream()
    pq.write_metadata(SCHEMA, sink)
    held = _footer_in(BytesIO(sink.getvalue()))
    footer = Reader(held, "")
    for number, kind in footer.fields():
        if number == _SCHEMA:
            begin = footer.at
            elements = list(footer.structs(_ELEMENT_TYPES))
            return elements, [element[_TYPE] for element in elements if _TYPE in element], held[begin : footer.at]
        footer.pass_over(kind)
    raise AssertionError
