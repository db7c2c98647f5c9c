"""Brings a backup's records back into a topic: the same bytes, keys, headers and times, in their order."""

from collections.abc import Iterator
from heapq import merge
from itertools import chain
from operator import itemgetter

from devicesync.archive.entry import Entry
from devicesync.archive.parquet_reading import BATCH_BYTES
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.patience import Patience
from devicesync.jobs.ship import keys_of
from devicesync.log.full import KEY, VALUE, FullRecord, Sink

_ROWS = 2000


def put_range(
    files: list[Entry],
    rows_of_files: list[Iterator[list[FullRecord]]],
    selection: Selection,
    sink: Sink,
    patience: Patience,
    *,
    rekey: bool,
    max_clock_ahead_ms: int,
) -> int:
    """Write the range, at least once. Return how many records. With `rekey`, a record without a key gets its device's id."""
    records = 0
    for all_rows in _in_order(rows_of_files):
        rows = selection.rows(all_rows, files[0], max_clock_ahead_ms)
        if rekey:
            keys = keys_of([row[VALUE] or b"" for row in rows])
            rows = [(*row[:2], row[KEY] if row[KEY] is not None else key, *row[3:]) for row, key in zip(rows, keys, strict=True)]
        patience.until_it_works(sink.put, files[0].partition, rows)
        records += len(rows)
    return records


def _in_order(files: list[Iterator[list[FullRecord]]]) -> Iterator[list[FullRecord]]:
    """Yield the rows of all files in order of their offsets, some thousand or some MiB at a time."""
    if len(files) == 1:
        yield from files[0]
        return
    some: list[FullRecord] = []
    size = 0
    for row in merge(*map(chain.from_iterable, files), key=itemgetter(0)):
        some.append(row)
        size += len(row[VALUE] or b"")
        if len(some) == _ROWS or size >= BATCH_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some
