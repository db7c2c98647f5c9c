"""Compares ranges of the archive with the log before the backup goes on behind them.

What this backup's group in the log has claimed is kept. What lies behind that, a killed process has left, or a backup of another
group. Or whoever may add objects has: where such a range took the place of the log's records, they would never be kept.
"""

from functools import partial
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, listing_path
from devicesync.errors import Damaged
from devicesync.jobs.backup.comparison import Problem
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.verify import check_range
from devicesync.law.state import State
from devicesync.log.full import Claim, FullLog

_HINT = (
    "a backup goes on only behind what its log has: if a stranger added that, remove its entry, {}, and then its files; "
    "if this log is a copy of another, see docs/backup.md; `devicesync backup verify --deep` names all such files"
)


class BesideLog:
    """Compares ranges of one archive with the log that they were made of. spool: where files are fetched to."""

    def __init__(self, archive: Archive, log: FullLog, spool: Path) -> None:
        self.archive = archive
        self._log = log
        self._spool = spool

    def has(self, files: list[Entry]) -> bool:
        """Whether a range has all records that the log still has of it, and none of them otherwise. Raises Unavailable."""
        return not self._problems(files)

    def check(self, newest: Entry, claim: Claim | None) -> None:
        """Raise Damaged, which names the file, where a range that the group has not claimed is not the log's. Raises Unavailable.

        newest: a file of the partition's last range. claim: the group's last one. Where it is of another log, or there is none,
        the last range is compared.
        """
        known = claim if claim and claim.identity == newest.identity else None
        if known and newest.next_offset in (known.start, known.none_from):
            return
        kept_before = known.start if known else None
        for files in self.archive.manifest.last_ranges(newest.generation, newest.partition, kept_before):
            for problem in self._problems(files)[:1]:
                raise Damaged(problem.path, problem.problem, _HINT.format(listing_path(files, ENTRY)))

    def _problems(self, files: list[Entry]) -> list[Problem]:
        """What a range has otherwise than the log. What a revision lacks, an erase in the backup has to cover."""
        cover = Cover()
        check = partial(check_range, self.archive, files, self._spool, self._log, cover, deep=True)
        found = check()
        if found or not any(entry.revision for entry in files):
            return found
        manifest = self.archive.manifest
        pruned = ({name: State(erased=at)} for kept in manifest.pruned([]) for name, at in kept.erased())
        cover.learn(self.archive, manifest.entries([]), pruned, self._spool)
        return [] if cover.is_full else check()
