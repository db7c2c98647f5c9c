"""The records of one day (UTC) in the open range of a partition. They have a file of their own."""

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from devicesync.archive.entry import day_of
from devicesync.archive.parquet import GROUP_BYTES
from devicesync.log.full import TIMESTAMP_MS, FullRecord

if TYPE_CHECKING:
    from devicesync.archive.files import ClosedFile, OpenFile

_ROWS_BYTES = 32 << 10

Open = Callable[[], "OpenFile"]
_stamp = itemgetter(1)


class DayFile:
    """The records' bytes alone decide where a row group ends, however the rows come.

    bytes: what its rows count, see sizes_of. file: None until there is enough for one.
    """

    def __init__(self, open_file: Open) -> None:
        self.bytes = 0
        self.file: OpenFile | None = None
        self._open = open_file
        self._rows: list[FullRecord] = []
        self._rows_bytes = self._group_bytes = 0

    @property
    def room(self) -> int:
        """How many more bytes of records fit into the open row group."""
        return GROUP_BYTES - self._group_bytes

    def add(self, rows: list[FullRecord], size: int) -> None:
        """Add rows of so many bytes. Raises OSError."""
        self._rows += rows
        self._rows_bytes += size
        self._group_bytes += size
        self.bytes += size
        ends_group = self._group_bytes >= GROUP_BYTES
        if ends_group or self._rows_bytes >= _ROWS_BYTES:
            self._write()
        if ends_group and self.file:
            self.file.end_group()
            self._group_bytes = 0

    def end(self) -> None:
        """End the file: no more rows come. Raises OSError."""
        self._write()
        if self.file:
            self.file.end_group()

    def finish(self, start: int, end: int, *, follows: bool) -> "list[ClosedFile]":
        """Finish the file of the range with these bounds; None without records. `follows`: see Entry. Raises OSError."""
        return [self.file.close(start, end, self.bytes, follows=follows)] if self.file else []

    def discard(self) -> None:
        """Drop the file."""
        if self.file:
            self.file.discard()

    def _write(self) -> None:
        if self._rows:
            self.file = self.file or self._open()
            self.file.write(self._rows)
            self._rows, self._rows_bytes = [], 0


def by_day(rows: list[FullRecord]) -> Iterator[tuple[int, list[FullRecord]]]:
    """Cut the rows where the day changes, and yield each run with its day. Nearly always there is one day."""
    stamps = [*map(_stamp, rows)]
    if not stamps:
        return
    if None not in stamps and (day := day_of(min(stamps))) == day_of(max(stamps)):
        yield day, rows
        return
    for day, run in groupby(rows, key=lambda row: day_of(row[TIMESTAMP_MS])):
        yield day, [*run]
