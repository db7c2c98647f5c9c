"""Reads what parquet.py writes, in batches that are small in memory, whatever the file holds.

A few KB of zstd can unpack to gigabytes. So can one long value in a dictionary, or one whose beginning thousands of rows share.
We write none of these. What counts is what the pages say, for the footer may say less.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from devicesync.archive.parquet import GROUP_BYTES, SCHEMA
from devicesync.archive.parquet_footer import Group, groups_of, metadata_of
from devicesync.archive.parquet_pages import DATA_PAGE, PLAIN, pages_of
from devicesync.archive.room import Room
from devicesync.durable import opened
from devicesync.log.full import FullRecord
from devicesync.log.port import Headers
from devicesync.log.record_bytes import CHARACTER_BYTES, bytes_of

_BATCH_ROWS = 10_000
LARGEST_RECORD = 64 << 20
"""In bytes. A log gives less to a backup (log.full.LARGEST_BYTES)."""
TOO_LARGE = f"a record has over {LARGEST_RECORD:,} bytes, more than a backup keeps of one"
_LARGEST_GROUP_BYTES = 10 * GROUP_BYTES + LARGEST_RECORD
"""Ours have 6 MiB and at most one record more (partition_backup.sizes_of). There a header counted 8 bytes once, and here 72."""
_COUNTED_BYTES = 32
"""Twice for each header, and for each row, for even an empty one takes room: its lengths take 8 bytes more.

In Python a header takes up to 200 bytes. So the headers of a group's rows take some 400 MiB at most.
"""
_FIRST_OF_RECORDS, _HEADER_COLUMNS = 3, (5, 6)
"""From the first of these columns on (key, value, headers) we write all values plainly."""


class _Examined(NamedTuple):
    """Of a row group: how many rows may be in memory at once, the bytes that it takes, and how many values each column has."""

    rows_at_once: int
    bytes: int
    values: list[int]


def read_parquet(path: Path, room: Room) -> Iterator[list[FullRecord]]:
    """Yield the file's rows, some MiB at a time. Raises pyarrow.ArrowException, OSError, ValueError for another kind of file.

    room: a row group takes what its pages have, and 64 bytes for each header. Only then they are unpacked. Names that take
    more in Python than there take that, too.
    """
    with opened(path) as source:
        for group in groups_of(path):
            found = _examined(path, group, room.batch_bytes)
            with room.taken(found.bytes):
                file = pq.ParquetFile(source, metadata=metadata_of(group, found.values))
                yield from _batches(file.iter_batches(found.rows_at_once, columns=SCHEMA.names[1:]), group.rows, room)


def _batches(batches: Any, left: int, room: Room) -> Iterator[list[FullRecord]]:
    """Yield so many rows of a group. Its pages go from memory before the last ones, which who merges files may keep for long."""
    for batch in batches:
        with room.taken(_more_in_python(batch)):
            is_large = batch.nbytes > LARGEST_RECORD
            rows = _rows_of(batch)
            del batch
            if is_large and max(map(bytes_of, rows)) > LARGEST_RECORD:
                raise ValueError(TOO_LARGE)
            left -= len(rows)
            if left <= 0:
                batches.close()
            yield rows


def _examined(path: Path, group: Group, batch_bytes: int) -> _Examined:
    """Raises OSError, ValueError for a group that is not ours."""
    values = [0] * len(group.columns)
    size = 0
    for column, page in pages_of(path, group.columns):
        if column and (page.kind != DATA_PAGE or (column >= _FIRST_OF_RECORDS and page.encoding != PLAIN)):
            raise ValueError("its values are in a dictionary, or share bytes, as no backup writes them")
        values[column] += page.values
        size += page.bytes + (_COUNTED_BYTES * page.values if column in _HEADER_COLUMNS else 0)
        if size > _LARGEST_GROUP_BYTES:
            raise ValueError(f"its rows are more than {_LARGEST_GROUP_BYTES:,} bytes together, more than a backup writes")
    for count in values[: _HEADER_COLUMNS[0]]:
        if count != group.rows or not count:
            raise ValueError(f"a column has {count:,} values where its group has {group.rows:,} rows")
    within_bytes = batch_bytes * group.rows // max(size, 1)
    return _Examined(max(min(_BATCH_ROWS, within_bytes), 1), size, values)


def _rows_of(batch: Any) -> list[FullRecord]:
    *columns, headers = batch.columns
    return list(zip(*(column.to_pylist() for column in columns), _headers_in(headers), strict=True))


def _more_in_python(batch: Any) -> int:
    """The bytes by which the names of headers grow: see record_bytes.py."""
    names = batch.column(batch.num_columns - 1).flatten().field(0)
    wide = names.filter(pc.invert(pc.string_is_ascii(names)))
    characters, here = pc.sum(pc.utf8_length(wide)).as_py(), pc.sum(pc.binary_length(wide)).as_py()
    return CHARACTER_BYTES * (characters or 0) - (here or 0)


def _headers_in(column: Any) -> list[Headers | None]:
    """The headers of each row. Arrow's own way makes a dictionary of each header, which takes three times as much memory."""
    if column.null_count == len(column):
        return [None] * len(column)
    headers = column.flatten()
    names, values = headers.field(0), headers.field(1)
    if headers.null_count or names.null_count:
        raise ValueError("a header has no name")
    pairs = zip(names.to_pylist(), values.to_pylist(), strict=True)
    return [None if count is None else list(islice(pairs, count)) for count in column.value_lengths().to_pylist()]
