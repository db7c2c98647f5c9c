"""Reads what parquet.py writes, in batches that are small in memory, whatever the file holds.

A few KB of zstd can unpack to gigabytes. So can one long value in a dictionary that thousands of rows use. We write neither.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from devicesync.archive.parquet import SCHEMA
from devicesync.log.full import FullRecord
from devicesync.log.port import Headers

_BATCH_ROWS = 10_000
BATCH_BYTES = 8 << 20
_LARGEST_GROUP_BYTES = 256 << 20
"""Of more than one row. Ours have 6 MiB and at most one record more."""
_FIRST_OF_RECORDS = 3
"""From this column on (key, value, headers) we write no dictionaries."""


def read_parquet(path: Path) -> Iterator[list[FullRecord]]:
    """Yield the file's rows, some MiB at a time. Raises pyarrow.ArrowException, OSError, ValueError for another kind of file."""
    with pq.ParquetFile(path) as file:
        if not file.schema_arrow.equals(SCHEMA):
            raise ValueError("its columns are not those of a backup")
        for number in range(file.metadata.num_row_groups):
            rows = _rows_at_once(file.metadata.row_group(number))
            for batch in file.iter_batches(rows, [number], columns=SCHEMA.names[1:]):
                yield _rows_of(batch)


def _rows_at_once(group: Any) -> int:
    columns = [group.column(spot) for spot in range(_FIRST_OF_RECORDS, group.num_columns)]
    if any("DICTIONARY" in encoding for column in columns for encoding in column.encodings):
        raise ValueError("its values are in a dictionary, which no backup writes")
    if group.total_byte_size > _LARGEST_GROUP_BYTES and group.num_rows > 1:
        raise ValueError(f"{group.num_rows:,} rows of {group.total_byte_size:,} bytes are together, more than a backup writes")
    within_bytes: int = BATCH_BYTES * group.num_rows // max(group.total_byte_size, 1)
    return max(min(_BATCH_ROWS, within_bytes), 1)


def _rows_of(batch: Any) -> list[FullRecord]:
    offsets, stamps, keys, values, headers = (column.to_pylist() for column in batch.columns)
    all_headers = headers if batch.column(4).null_count == len(headers) else [_pairs(some) for some in headers]
    return list(zip(offsets, stamps, keys, values, all_headers, strict=True))


def _pairs(headers: list[dict[str, Any]] | None) -> Headers | None:
    if headers is None:
        return None
    if any(header is None or header["name"] is None for header in headers):
        raise ValueError("a header has no name")
    return [(header["name"], header["value"]) for header in headers]
