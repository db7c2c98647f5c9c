"""Compares what lies in the archive behind a group's claim with the log, before the backup goes on behind it.

What this backup's group in the log has claimed is kept, in the archive that has the range which the claim names. What lies behind
that range, a killed process has left, or a backup of another group. Or whoever may add objects has: where that took the place of
the log's records, they would never be kept. So all records that the log has from there to the archive's end have to be in the
archive, as the log has them. Where that range is not, as at another place, that holds of all records that the log still has.
"""

import threading
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, ERASURES, named, place_of
from devicesync.archive.revisions import have_same_places
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged, Stopped, Unavailable
from devicesync.jobs.backup.comparison import Problem
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.verify import check_identities, check_range
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import Claim, FullLog, FullRecord

_DIFFERS = (
    "a backup goes on only behind what its log has: if a stranger added that, copy it, remove its entry, {}, and then its files; "
    "if this log is a copy of another, see docs/backup.md; `devicesync backup verify --deep` names all such files"
)
_UNLISTED = (
    "if a stranger added that, copy it first, for its records may be in no other file and in the log no more; then remove its "
    "entry, {}, and then its files; a prune that was killed leaves one, too: `devicesync backup prune` completes it"
)
_OVERLAPS = (
    "one of the two is not of this backup, and nothing here tells which: that of {}, or that of {}; copy both before you remove "
    "one, its entry and then its files"
)
_LACKS = (
    "what is there is as the log has it: put back what is missing; or, if the last backup of this group went to another place, "
    'each place needs a group of its own: see "One group for each place" in docs/backup.md'
)
_TURN_SECONDS = 60.0
"""A member that is silent for longer loses its place in the group (Kafka's max.poll.interval.ms, which is 15 minutes)."""


class BesideLog:
    """Compares ranges of one archive with the log that they were made of. spool: where files are fetched to."""

    def __init__(self, archive: Archive, log: FullLog, spool: Path, stop: threading.Event) -> None:
        self.archive = archive
        self._log = log
        self._spool = spool
        self._stop = stop
        self._true: set[str] = set()  # the ranges that `check` has compared: it may be called again before it is through

    def has(self, files: list[Entry]) -> bool:
        """Whether a range has all records that the log still has of it, and none of them otherwise.

        Raises Unavailable, Stopped.
        """
        return not self._problems(files)

    def check(self, last: list[Entry], claim: Claim | None, first: int) -> None:
        """Raise Damaged, which names the file, where the archive is not as the log behind what was claimed here.

        last: the partition's last range. claim: the group's last one of this log; without one that range alone is compared.
        first: the log's first offset.

        Raises Stopped, and Unavailable, also after a minute of comparing: it goes on there when it is called again.
        """
        claim = claim or Claim(last[0].identity, last[0].from_offset, None)
        turn_ends = SYSTEM.monotonic() + _TURN_SECONDS
        after: list[Entry] = []
        for files in self.archive.manifest.ranges_from_last(last[0].generation, last[0].partition):
            is_kept = self._is_kept(files, after, claim)
            is_last = is_kept or (bool(after) and files[0].next_offset <= first)
            if not is_last:
                self._compare(files, turn_ends)
            self._check_between(files, after, claim.start if is_kept or not claim.listing else first)
            if is_last:
                return
            after = files
        self._check_between([], after, first if claim.listing else claim.start)

    def _is_kept(self, files: list[Entry], after: list[Entry], claim: Claim) -> bool:
        """Whether by this claim the group has kept this range and all before it, here. after: the next range, if any."""
        if claim.listing:
            return claim.listing == self.archive.manifest.named(files)
        return after[0].from_offset <= claim.start if after else files[0].next_offset in (claim.start, claim.none_from)

    def _compare(self, files: list[Entry], turn_ends: float) -> None:
        """Raise Damaged where the range is not as the log has it, and Unavailable where it is, but the turn has ended."""
        name = named("", files)
        if name in self._true:
            return
        for some in chain([files], self._replaced(files)):
            for problem in self._problems(some)[:1]:
                raise Damaged(problem.path, problem.problem, _DIFFERS.format(place_of(some, ENTRY)))
        self._true.add(name)
        if SYSTEM.monotonic() >= turn_ends:
            partition, offset = files[0].partition, files[0].from_offset
            told = f"the backup of partition {partition} is compared with the log, and is as that has it from {offset} on"
            raise Unavailable(told, "this goes on by itself, and then the backup does")

    def _replaced(self, files: list[Entry]) -> Iterator[list[Entry]]:
        """What a revision replaces, where it is still there: a restore says that it is the true one. Raises Damaged without any.

        A redact leaves its entries as they are.
        """
        if not files[0].revision:
            return
        first = self.archive.manifest.first_listed(files)
        if not have_same_places(first, files):
            told = "is a revision of no range that a backup has listed, and no `devicesync backup redact` makes one"
            raise Damaged(files[0].path, told, _UNLISTED.format(place_of(files, ENTRY)))
        yield from [] if self.archive.missing(first) else [first]

    def _check_between(self, before: list[Entry], after: list[Entry], kept_before: int) -> None:
        """Raise Damaged where a range begins before another one's end, or the log has records in between, from there on."""
        if not after:
            return
        first, end = after[0], before[0].next_offset if before else 0
        if first.from_offset < end:
            self._compare(before, float("inf"))  # the other one is as the log has it
            told = f"overlap: records {first.from_offset} to {min(end, first.next_offset) - 1} are in {before[0].path} too"
            raise Damaged(first.path, told, _OVERLAPS.format(place_of(after, ENTRY), place_of(before, ENTRY)))
        gap = max(end, kept_before), first.from_offset
        if any(self._records(first.partition, *gap)):
            told = f"gap: the log has records {gap[0]} to {gap[1] - 1}, and no file has them{self._pruned(first, *gap)}"
            raise Damaged(first.path, told, _LACKS)

    def _pruned(self, like: Entry, start: int, end: int) -> str:
        """That a prune has removed ranges between these offsets, if erasures say so: whoever may add objects may add such."""
        pruned = self.archive.manifest.pruned_from(like.generation, like.partition)
        found = [offset for offset in pruned if start <= offset < end]
        return f" any more: by {found[0]}{ERASURES} a prune has removed {len(found):,} ranges there" if found else ""

    def _problems(self, files: list[Entry]) -> list[Problem]:
        """What a range has otherwise than the log. What a revision lacks, an erase in the backup has to cover."""
        cover = Cover()
        check = partial(check_range, self.archive, files, self._spool, self._records, cover, deep=True)
        found = [*check_identities(self.archive, files)] or check()
        if found or not any(entry.revision for entry in files):
            return found
        pruned = pruned_erasures(self.archive, DEFAULT_MAX_CLOCK_AHEAD_MS)
        cover.learn(self.archive, self.archive.manifest.entries([]), pruned, self._spool, stop=self._stop)
        return [] if cover.is_full else check()

    def _records(self, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
        for rows in self._log.records(partition, start, end) if start < end else ():
            if self._stop.is_set():
                raise Stopped
            yield rows
