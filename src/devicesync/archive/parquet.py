"""Files of whole records as Parquet. Their bytes are a function of the rows and of how they come, of nothing else.

So two writers of one file (the owner of a partition and a zombie that was it) write the same bytes.

Row groups of 8 MiB take a quarter less room than groups of 1 MiB: devices come back, with the same long tokens. As so much for
each of many partitions would fill the memory, the rows of the next group wait in a file beside.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devicesync.log.port import Headers, Row

_LEVEL = 3
_GROUP_BYTES = 8 << 20
_BATCH_ROWS = 10_000
_HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))
SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp_ms", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", _HEADERS),
    ]
)


class ParquetWriter:
    """Writes one file. Raises OSError when the disk is full, and is then of no more use."""

    def __init__(self, path: Path, partition: int) -> None:
        self._partition = partition
        self._waiting_path = path.with_suffix(".waiting")
        self._waiting_file = self._waiting_path.open("w+b", buffering=0)
        self._waiting: Any = None
        self._waiting_bytes = 0
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=["partition"],
            column_encoding={"offset": "DELTA_BINARY_PACKED", "timestamp_ms": "DELTA_BINARY_PACKED"},
            write_statistics=["offset", "timestamp_ms"],
            data_page_size=2 * _GROUP_BYTES,
        )

    def write(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        offsets, stamps, keys, values, headers = zip(*rows, strict=True)
        columns = [
            pa.repeat(pa.scalar(self._partition, pa.int32()), len(rows)),
            pa.array(offsets, pa.int64()),
            pa.array(stamps, pa.int64()),
            pa.array(keys, pa.binary()),
            pa.array(values, pa.binary()),
            pa.array(headers, _HEADERS) if any(headers) else pa.nulls(len(rows), _HEADERS),
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
        if self._waiting is None:
            self._waiting_file.seek(0)  # over the group before: giving pages back to get them again takes time
            self._waiting = pa.ipc.new_stream(self._waiting_file, SCHEMA)
        self._waiting.write_batch(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= _GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Finish the file."""
        if self._waiting is not None:
            self._write_group()
        self._writer.close()
        self._drop_waiting()

    def discard(self) -> None:
        """Give up; the file is to be removed."""
        with suppress(OSError):
            if self._waiting is not None:
                self._waiting.close()
            self._writer.close()
        self._drop_waiting()

    def _drop_waiting(self) -> None:
        self._waiting_file.close()
        self._waiting_path.unlink(missing_ok=True)

    def _write_group(self) -> None:
        self._waiting.close()
        self._waiting, self._waiting_bytes = None, 0
        with pa.memory_map(str(self._waiting_path)) as rows:
            self._writer.write_table(pa.ipc.open_stream(rows).read_all())


def read_parquet(path: Path) -> Iterator[list[Row]]:
    """The file's rows, some thousand at a time. Raises pyarrow.ArrowException, OSError for what is no such file."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=SCHEMA.names[1:]):
            offsets, stamps, keys, values, headers = (column.to_pylist() for column in batch.columns)
            all_headers = headers if batch.column(4).null_count == len(headers) else [_pairs(some) for some in headers]
            yield list(zip(offsets, stamps, keys, values, all_headers, strict=True))


def _pairs(headers: list[dict[str, Any]] | None) -> Headers | None:
    return None if headers is None else [(header["name"], header["value"]) for header in headers]
