"""Brings a backup's records back into a topic: the same bytes, keys, headers and times, in their order."""

from collections.abc import Iterator
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.room import BATCH_BYTES
from devicesync.archive.side_by_side import Opened, in_order
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
        for wanted in _portions([Opened(file.entry, _wanted(file, selection, max_clock_ahead_ms)) for file in opened]):
            rows = _rekeyed(wanted) if rekey else wanted
            patience.until_it_works(sink.put, files[0].partition, rows)
            records += len(rows)
            wanted.clear()
    return records


def _wanted(file: Opened, selection: Selection, max_clock_ahead_ms: int) -> Iterator[list[FullRecord]]:
    """A record is judged by the entry of the file that it is in."""
    for rows in file.batches:
        wanted = selection.rows_and_other_erases(rows, file.entry, max_clock_ahead_ms)
        rows.clear()
        yield wanted


def _rekeyed(rows: list[FullRecord]) -> list[FullRecord]:
    keys = keys_of([row[VALUE] or b"" for row in rows])
    return [(*row[:2], row[KEY] if row[KEY] is not None else key, *row[3:]) for row, key in zip(rows, keys, strict=True)]


def _portions(files: list[Opened]) -> Iterator[list[FullRecord]]:
    """Yield the rows of all files in order of their offsets, some thousand or some MiB at a time, in lists to be emptied."""
    if len(files) == 1:
        yield from files[0].batches
        return
    some: list[FullRecord] = []
    size = 0
    for _, held, _ in in_order(files):
        some.append(held.pop())
        size += sum(sizes_of(some[-1:]))
        if len(some) == _ROWS or size >= BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
