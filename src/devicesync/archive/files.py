"""One file of the backup: while it is written locally, and when it is finished."""

import hashlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

import msgspec

from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import EXTENSIONS, Entry, Extra, Origin, path_of, rest_path
from devicesync.archive.jsonl import JsonLinesWriter
from devicesync.archive.parquet import ParquetWriter, stamps_of
from devicesync.clock import SYSTEM, Clock
from devicesync.durable import opened
from devicesync.log.full import OFFSET, FullRecord

_numbers = count()
"""Of the local files of this process, whose spool is its own."""


class _Writer(Protocol):
    def write(self, rows: Sequence[FullRecord]) -> None: ...

    def end_group(self) -> None: ...

    def close(self) -> None: ...

    def discard(self) -> None: ...


class OpenFile:
    """A file of the backup that is being written, locally. It raises OSError when the disk is full; then drop it."""

    def __init__(
        self,
        spool: Path,
        origin: Origin,
        file_format: str,
        encoder: Encoder,
        *,
        clock: Clock = SYSTEM,
        has_log_time: bool = False,
    ) -> None:
        """has_log_time: whether the records' times come from the log's own clock."""
        self._here = spool / f"{origin.partition}-{next(_numbers)}"
        self._rest_here = self._here.with_suffix(".rest") if file_format == "jsonl" else None
        self._origin = origin
        self._clock = clock
        self._has_log_time = has_log_time
        self._format = file_format
        self._writer: _Writer
        if self._rest_here:
            self._writer = JsonLinesWriter(self._here, self._rest_here, origin.partition, encoder)
        else:
            self._writer = ParquetWriter(self._here, origin.partition, encoder)
        self._first: FullRecord = (0, None, None, None, None)
        self._records = 0

    def write(self, rows: Sequence[FullRecord]) -> None:
        """Add rows."""
        self._writer.write(rows)
        self._first = self._first if self._records else rows[0]
        self._records += len(rows)

    def end_group(self) -> None:
        """End a row group. The file's bytes depend on its place, so let the records alone decide it."""
        self._writer.end_group()

    def close(self, from_offset: int, next_offset: int, record_bytes: int, *, follows: bool | None = None) -> "ClosedFile":
        """Finish the file. Its range has from_offset <= offset < next_offset. `follows`: see Entry."""
        self._writer.close()
        topic, source, generation, partition, identity = self._origin
        first_ms, last_ms = stamps_of(self._rest_here or self._here)
        entry = Entry(
            path=path_of(self._origin, self._first, from_offset, EXTENSIONS[self._format]),
            topic=topic,
            source=source,
            generation=generation,
            partition=partition,
            from_offset=from_offset,
            first_offset=self._first[OFFSET],
            next_offset=next_offset,
            records=self._records,
            bytes=self._here.stat().st_size,
            sha256=digest_of(self._here),
            record_bytes=record_bytes,
            first_ms=first_ms,
            last_ms=last_ms,
            closed_ms=self._now_ms(last_ms),
            format=self._format,
            follows=follows,
            identity=identity,
        )
        if self._rest_here:
            extra = Extra(rest_path(entry), self._rest_here.stat().st_size, digest_of(self._rest_here))
            entry = msgspec.structs.replace(entry, rest=extra)
        return ClosedFile(entry, self._here, self._rest_here)

    def _now_ms(self, last_ms: int | None) -> int:
        """The time by our clock, or by the log's if that is later: else a restore would refuse the newest records."""
        now_ms = self._clock.now_us() // 1000
        return max(now_ms, last_ms or 0) if self._has_log_time else now_ms

    def discard(self) -> None:
        """Drop the file, and free its space on the disk."""
        self._writer.discard()
        for here in (self._here, self._rest_here):
            if here:
                here.unlink(missing_ok=True)


class ClosedFile:
    """A finished local file."""

    def __init__(self, entry: Entry, here: Path, rest_here: Path | None) -> None:
        self.entry = entry
        self.here = here
        self.rest_here = rest_here

    def discard(self) -> None:
        """Remove it here."""
        for here in (self.here, self.rest_here):
            if here:
                here.unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    """The SHA-256 of a local file, in hex. Raises OSError."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
