"""Prune: removes the oldest files, and keeps their erasures, so that a device erased in them stays erased."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ERASURES_BYTES, by_range
from devicesync.jobs.shared.backed_up import erases_in, kept_at_ms

_LEAST_BYTES = 20
"""What an erasure has beside its id: two quotes, a colon, a comma, and 16 digits."""


def old_ranges(entries: list[Entry], before_ms: int) -> Iterator[list[Entry]]:
    """Return the files to remove: in each partition the first ranges whose records are all older than `before_ms`.

    The last range of a partition stays, because it says where the backup goes on.
    """
    for _, ranges in groupby(by_range(entries), key=lambda files: files[0].order[:2]):
        for files in list(ranges)[:-1]:
            if max(min(entry.last_ms or 0, kept_at_ms(entry, 0)) for entry in files) >= before_ms:
                break
            yield files


def prune_range(archive: Archive, files: list[Entry], spool: Path, max_clock_ahead_ms: int) -> None:
    """Remove the files of a range, and keep the erasures in them. Safe to repeat. Raises Unavailable, Damaged, WrongUse."""
    erased: dict[str, int] = {}
    left = ERASURES_BYTES
    for entry in files:
        with archive.fetched(entry, spool) as batches:
            for rows in batches:
                for event in erases_in(rows, entry, max_clock_ahead_ms):
                    left -= _LEAST_BYTES + len(event.device_id) if event.device_id not in erased else 0
                    erased[event.device_id] = max(event.version, erased.get(event.device_id, 0))
                if left < 0:  # prune refuses so many
                    break
    archive.manifest.prune(files, erased)
