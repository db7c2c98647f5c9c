"""Prune: removes the oldest files, and keeps their erasures, so that a device erased in them stays erased."""

from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ERASURES_BYTES, by_range
from devicesync.archive.spool import failure_of
from devicesync.clock import SYSTEM
from devicesync.jobs.backup.highest_erases import highest_erases
from devicesync.jobs.shared.backed_up import ANY_AHEAD_MS, erase_rows_in, is_late_for_good
from devicesync.jobs.shared.pruned import judged
from devicesync.log.full import OFFSET


class NotKept(NamedTuple):
    """Erases that the law refuses, as of later than they were logged: how many, and the file and offset of the first."""

    erases: int = 0
    path: str = ""
    offset: int = 0


def old_ranges(entries: list[Entry], before_ms: int, stay: Collection[Entry] = ()) -> Iterator[list[Entry]]:
    """Return the files to remove: in each partition the first ranges whose records are all older than `before_ms`.

    The last range of a partition stays, because it says where the backup goes on. stay: files that stay, and what follows them.
    """
    for _, ranges in groupby(by_range(entries), key=lambda files: files[0].order[:2]):
        for files in list(ranges)[:-1]:
            if any(entry in stay or _newest_ms(entry) >= before_ms for entry in files):
                break
            yield files


def _newest_ms(entry: Entry) -> int:
    """That of its newest record, as its rows prove before it is removed. Where that is none, or past now: when it was closed."""
    now_ms = SYSTEM.now_ms()
    return min(entry.closed_ms, now_ms) if entry.last_ms is None or entry.last_ms > now_ms else entry.last_ms


def prune_range(archive: Archive, files: list[Entry], spool: Path, max_clock_ahead_ms: int) -> NotKept:
    """Remove the files of a range, and keep the erasures in them. Return the refused ones, which it does not keep.

    Safe to repeat. Raises Unavailable, Damaged, WrongUse.
    """
    lost = NotKept()
    try:
        with highest_erases(spool / f"{'-'.join(map(str, files[0].range))}.erases") as erases:
            for entry in files:
                with archive.fetched(entry, spool) as batches:
                    for rows in batches:
                        for row, erase in erase_rows_in(rows, entry, ANY_AHEAD_MS):
                            if is_late_for_good(erase, row, max_clock_ahead_ms):  # the updater refused it
                                first = lost if lost.erases else NotKept(0, entry.path, row[OFFSET])
                                lost = first._replace(erases=lost.erases + 1)
                            else:
                                erases.add([(erase.device_id, erase.version)])
                        if erases.least_bytes > ERASURES_BYTES:  # prune refuses so many
                            break
            if kept := archive.manifest.pruned_before(files):
                for some, others in judged(kept, max_clock_ahead_ms):
                    erases.add(some)
                    erases.add_missing(others)  # one of later than now may be a stranger's, and must not take a true one's place
            archive.manifest.prune(files, erases, spool)
    except OSError as error:
        raise failure_of(spool, error) from error
    return lost
