"""A backup's file back into a topic: the same bytes, keys, headers and times."""

from collections.abc import Iterable

from devicesync.archive.entry import Entry
from devicesync.jobs.patience import Patience
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.ship import keys_of
from devicesync.log.port import Row, Sink


def put_file(
    entry: Entry,
    rows_of_file: Iterable[list[Row]],
    selection: Selection,
    sink: Sink,
    patience: Patience,
    *,
    rekey: bool,
    max_clock_ahead_ms: int,
) -> int:
    """How many records. With `rekey`, records without a key (a journal's) get their device's id. At least once."""
    records = 0
    for all_rows in rows_of_file:
        rows = selection.rows(all_rows, entry, max_clock_ahead_ms)
        if rekey:
            keys = keys_of([row[3] or b"" for row in rows])
            rows = [(*row[:2], row[2] if row[2] is not None else key, *row[3:]) for row, key in zip(rows, keys, strict=True)]
        patience.until_it_works(lambda rows=rows: sink.put(entry.partition, rows))  # type: ignore[misc]
        records += len(rows)
    return records
