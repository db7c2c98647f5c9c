"""Gzipped files of JSON lines, as Secor writes them. A record's value is a line, so existing readers need no change.

A line can't hold keys, offsets, times and headers, nor tombstones and values with a line feed. So a second file, the rest,
holds the same rows as Parquet. It leaves out the values that a line holds unchanged.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from devicesync.archive.encoder import Encoder
from devicesync.archive.parquet import ParquetWriter
from devicesync.archive.parquet_reading import LARGEST_RECORD, TOO_LARGE, read_parquet
from devicesync.archive.room import Room
from devicesync.durable import opened
from devicesync.log.full import HEADERS, VALUE, FullRecord
from devicesync.log.record_bytes import bytes_of

_LEVEL = 6
_LARGE_BYTES = 1 << 20


class JsonLinesWriter:
    """Writes both files. It raises OSError when the disk is full; then discard it."""

    def __init__(self, path: Path, rest: Path, partition: int, encoder: Encoder) -> None:
        self._rest = ParquetWriter(rest, partition, encoder)
        self._file = path.open("wb")
        self._gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)  # without a time: the same records give the same bytes

    def write(self, rows: Sequence[FullRecord]) -> None:
        """Write rows to both."""
        lines = b"".join([_line(row[VALUE]) for row in rows])
        self._file.write(self._gzip.compress(lines))
        self._rest.write([(*row[:3], None if _is_line(row[VALUE]) else row[VALUE], row[HEADERS]) for row in rows])

    def end_group(self) -> None:
        """See ParquetWriter."""
        self._rest.end_group()

    def close(self) -> None:
        """Finish both files."""
        self._file.write(self._gzip.flush())
        self._file.close()
        self._rest.close()

    def discard(self) -> None:
        """Stop. The caller removes both files."""
        with suppress(OSError):
            self._file.close()
        self._rest.discard()


def read_json_lines(path: Path, rest: Path, room: Room) -> Iterator[list[FullRecord]]:
    """Yield the rows of both files, some MiB at a time. Raises what `read_parquet` raises, and EOFError, zlib.error."""
    with opened(path) as file, gzip.open(file) as lines:
        for rows in read_parquet(rest, room):
            some: list[FullRecord] = []
            size = 0
            for row in rows:
                line = lines.readline(LARGEST_RECORD + 1)
                if not line.endswith(b"\n"):
                    raise EOFError("a row has no line, or one without an end")
                some.append(_whole(row, line[:-1]))
                if len(line) > _LARGE_BYTES and bytes_of(some[-1]) > LARGEST_RECORD:
                    raise ValueError(TOO_LARGE)
                size += len(line)
                del line
                if size >= room.batch_bytes:
                    with room.taken(size):
                        yield some
                    some, size = [], 0
            if some:
                with room.taken(size):
                    yield some


def _is_line(value: bytes | None) -> bool:
    return value is not None and value != b"" and b"\n" not in value


def _line(value: bytes | None) -> bytes:
    # Between JSON's tokens a space means what a line feed does; elsewhere the record is a bad one, and whole in the rest.
    return (value or b"").replace(b"\n", b" ") + b"\n"


def _whole(row: FullRecord, line: bytes) -> FullRecord:
    return row if row[VALUE] is not None or not line else (*row[:3], line, row[HEADERS])
