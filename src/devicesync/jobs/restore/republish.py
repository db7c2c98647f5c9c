"""Brings a backup's records back into a topic: the same bytes, keys, headers and times, in their order."""

from collections.abc import Iterator
from heapq import merge
from itertools import chain
from operator import itemgetter
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.room import BATCH_BYTES
from devicesync.jobs.backup.partition_backup import sizes_of
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.patience import Patience
from devicesync.jobs.ship import keys_of
from devicesync.log.full import KEY, VALUE, FullRecord, Sink

_ROWS = 2000


def put_range(  # noqa: PLR0917 - all of them are needed
    archive: Archive,
    files: list[Entry],
    spool: Path,
    selection: Selection,
    sink: Sink,
    patience: Patience,
    *,
    rekey: bool,
    max_clock_ahead_ms: int,
) -> int:
    """Write the range, at least once. Return how many records. With `rekey`, a record without a key gets its device's id.

    The days of a range may alternate, so its files are read side by side. Raises Unavailable, and Damaged, which names a file.
    """
    records = 0
    with archive.side_by_side(files, spool) as opened:
        for wanted in _in_order([_wanted(rows, entry, selection, max_clock_ahead_ms) for entry, rows in opened]):
            rows = _rekeyed(wanted) if rekey else wanted
            patience.until_it_works(sink.put, files[0].partition, rows)
            records += len(rows)
    return records


def _wanted(
    rows_of_file: Iterator[list[FullRecord]], entry: Entry, selection: Selection, max_clock_ahead_ms: int
) -> Iterator[list[FullRecord]]:
    """A record is judged by the entry of the file that it is in."""
    for rows in rows_of_file:
        yield selection.rows_and_other_erases(rows, entry, max_clock_ahead_ms)


def _rekeyed(rows: list[FullRecord]) -> list[FullRecord]:
    keys = keys_of([row[VALUE] or b"" for row in rows])
    return [(*row[:2], row[KEY] if row[KEY] is not None else key, *row[3:]) for row, key in zip(rows, keys, strict=True)]


def _in_order(files: list[Iterator[list[FullRecord]]]) -> Iterator[list[FullRecord]]:
    """Yield the rows of all files in order of their offsets, some thousand or some MiB at a time."""
    if len(files) == 1:
        yield from files[0]
        return
    some: list[FullRecord] = []
    size = 0
    for row in merge(*map(chain.from_iterable, files), key=itemgetter(0)):
        some.append(row)
        size += sum(sizes_of([row]))
        if len(some) == _ROWS or size >= BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
