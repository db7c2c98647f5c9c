"""Files of whole records, as Parquet. Their bytes depend only on the rows and on where groups end.

So two writers of one file (the owner of a partition, and a zombie that was the owner) write the same bytes.

Row groups of 6 MiB take a quarter less space than groups of 1 MiB, because devices come back with the same long tokens. 6 MiB for
each of many partitions would fill the memory. So the rows of the next group wait in a file. They become columns as soon as
they are polled: later, when they have left the processor's caches, that would take three times as long.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from devicesync.archive.encoder import Encoder
from devicesync.log.full import FullRecord

_LEVEL = 3
GROUP_BYTES = 6 << 20
"""So many bytes make a row group, as partition_backup.sizes_of counts them."""
_STAMP_COLUMN = 2
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
    """Writes one file. It raises OSError when the disk is full; then discard it."""

    def __init__(self, path: Path, partition: int, encoder: Encoder) -> None:
        self._partition = partition
        self._encoder = encoder
        self._groups: list[Future[None]] = []
        self._waiting: Any = None
        self._file: FileIO | None = None
        self._sink = opened(path, "wb")
        self._writer = pq.ParquetWriter(
            self._sink,
            SCHEMA,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=["partition"],
            column_encoding={"offset": "DELTA_BINARY_PACKED", "timestamp_ms": "DELTA_BINARY_PACKED"},
            write_statistics=["offset", "timestamp_ms"],
            data_page_size=2 * GROUP_BYTES,
        )

    def write(self, rows: Sequence[FullRecord]) -> None:
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
        if self._file is None:
            self._file = self._encoder.take_file()
            self._waiting = pa.ipc.new_stream(self._file, SCHEMA)
        self._waiting.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))

    def end_group(self) -> None:
        """Make the rows since the last call a row group."""
        if self._file is None:
            return
        self._waiting.close()
        file, self._file = self._file, None
        self._groups.append(self._encoder.submit(lambda: self._encode(file)))

    def close(self) -> None:
        """Finish the file."""
        self.end_group()
        for group in self._groups:
            group.result()
        self._writer.close()
        self._sink.close()

    def discard(self) -> None:
        """Stop. The caller removes the file."""
        wait(self._groups)
        with suppress(OSError):
            self._writer.close()
        with suppress(OSError):
            self._sink.close()
        if self._file is not None:
            with suppress(OSError):
                self._encoder.give_back(self._file)

    def _encode(self, file: FileIO) -> None:
        try:
            with pa.memory_map(os.fsencode(file.name)) as rows:
                self._writer.write_table(pa.ipc.open_stream(rows).read_all())
        finally:
            self._encoder.give_back(file)


def spare_memory() -> None:
    """Make Arrow use the allocator that gives memory back soonest, where it has it. It counts for the whole process."""
    with suppress(NotImplementedError):
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def opened(path: Path, mode: str = "rb") -> Any:
    """Open a file for Arrow, which takes each name that is text for UTF-8. Raises OSError."""
    return pa.OSFile(os.fsencode(path), mode)


def stamps_of(path: Path) -> tuple[int | None, int | None]:
    """Return the least and the greatest timestamp in a file; None without any."""
    with opened(path) as file:
        metadata = pq.read_metadata(file)
    found = [metadata.row_group(number).column(_STAMP_COLUMN).statistics for number in range(metadata.num_row_groups)]
    known = [statistics for statistics in found if statistics and statistics.has_min_max]
    if not known:
        return None, None
    return min(statistics.min for statistics in known), max(statistics.max for statistics in known)
