"""Prune: removes old files, from the beginning on, and keeps their erasures: whoever was erased in them stays erased."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.jobs.restore.selection import erases_in, kept_at_ms


def old_files(entries: list[Entry], before_ms: int) -> Iterator[Entry]:
    """The files to be removed: of each partition the first ones, as long as all their records are older than `before_ms`.

    The last file of a partition stays: it says where the backup goes on.
    """
    for _, files in groupby(entries, key=lambda entry: entry.order[:2]):
        for entry in list(files)[:-1]:
            if min(entry.last_ms or 0, kept_at_ms(entry)) >= before_ms:
                break
            yield entry


def prune_file(archive: Archive, entry: Entry, spool: Path, max_clock_ahead_ms: int) -> None:
    """Remove the file, and keep the erasures in it. Raises Unavailable, Damaged; repeating is harmless."""
    erased: dict[str, int] = {}
    with archive.fetched(entry, spool) as batches:
        for rows in batches:
            for event in erases_in(rows, entry, max_clock_ahead_ms):
                erased[event.device_id] = max(event.version, erased.get(event.device_id, 0))
    archive.manifest.prune(entry, erased)
