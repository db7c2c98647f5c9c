"""Compares what lies in the archive behind a group's claim with the log, before the backup goes on behind it.

What this backup's group in the log has claimed is kept. What lies behind that, a killed process has left, or a backup of another
group. Or whoever may add objects has: where that took the place of the log's records, they would never be kept. So all records
that the log has from the claim to the archive's end have to be in the archive, as the log has them.
"""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, place_of
from devicesync.errors import Damaged, Stopped
from devicesync.jobs.backup.comparison import Problem
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.verify import check_range
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import Claim, FullLog, FullRecord

_HINT = (
    "a backup goes on only behind what its log has: if a stranger added that, remove its entry, {}, and then its files; "
    "if this log is a copy of another, see docs/backup.md; `devicesync backup verify --deep` names all such files"
)


class BesideLog:
    """Compares ranges of one archive with the log that they were made of. spool: where files are fetched to."""

    def __init__(self, archive: Archive, log: FullLog, spool: Path, stop: threading.Event) -> None:
        self.archive = archive
        self._log = log
        self._spool = spool
        self._stop = stop

    def has(self, files: list[Entry]) -> bool:
        """Whether a range has all records that the log still has of it, and none of them otherwise.

        Raises Unavailable, Stopped.
        """
        return not self._problems(files)

    def check(self, newest: Entry, claim: Claim | None) -> None:
        """Raise Damaged, which names the file, where the archive is not as the log from the claim on.

        newest: a file of the partition's last range. claim: the group's last one of this log; without one that range is compared.

        Raises Unavailable, Stopped.
        """
        if claim and newest.next_offset in (claim.start, claim.none_from):
            return
        kept_before = claim.start if claim else newest.from_offset
        after: list[Entry] = []
        for files in self.archive.manifest.ranges_from_last(newest.generation, newest.partition):
            if after:
                self._check_between(files[0].next_offset, after, kept_before)
                if after[0].from_offset <= kept_before:
                    return
            for problem in self._problems(files)[:1]:
                raise _damaged(files, problem.path, problem.problem)
            after = files
        self._check_between(0, after, kept_before)

    def _check_between(self, end: int, after: list[Entry], kept_before: int) -> None:
        """Raise Damaged where a range begins before this end of another, or the log has records in between, from the claim on."""
        first = after[0]
        if first.from_offset < end:
            raise _damaged(after, first.path, f"overlap: records {first.from_offset} to {end - 1} are in another file too")
        gap = max(end, kept_before), first.from_offset
        if any(self._records(first.partition, *gap)):
            raise _damaged(after, first.path, f"gap: the log has records {gap[0]} to {gap[1] - 1}, and no file has them")

    def _problems(self, files: list[Entry]) -> list[Problem]:
        """What a range has otherwise than the log. What a revision lacks, an erase in the backup has to cover."""
        cover = Cover()
        check = partial(check_range, self.archive, files, self._spool, self._records, cover, deep=True)
        found = check()
        if found or not any(entry.revision for entry in files):
            return found
        pruned = pruned_erasures(self.archive, DEFAULT_MAX_CLOCK_AHEAD_MS)
        cover.learn(self.archive, self.archive.manifest.entries([]), pruned, self._spool)
        return [] if cover.is_full else check()

    def _records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        for rows in self._log.records(partition, start, end) if start < end else ():
            if self._stop.is_set():
                raise Stopped
            yield rows


def _damaged(files: list[Entry], path: str, problem: str) -> Damaged:
    return Damaged(path, problem, _HINT.format(place_of(files, ENTRY)))
