"""Checks that a backup is whole, so that a restore says "equal" of all records, or says which are missing."""

from collections.abc import Iterator
from typing import NamedTuple

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.generation import End
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.backup.verify import check_ends, check_identities, check_order
from devicesync.jobs.shared.backed_up import refuse_the_future

_LOOK_AGAIN_SECONDS = (0.0, 1.0, 3.0)
_HINT = "`devicesync backup verify` finds every such place; --allow-gaps restores what is there"


class Wanted(NamedTuple):
    """The files that are there, in order, and the entries of pruned ones, whose erasures have proved to be whole.

    erasures: how many they are. gaps: what is not whole, and is passed over.
    """

    entries: list[Entry]
    pruned: list[Entry]
    erasures: int
    gaps: list[Damaged]


def files_to_restore(archive: Archive, max_clock_ahead_ms: int, *, allow_gaps: bool) -> Wanted:
    """Return the files of all partitions, for any may have an erase.

    Raises Unavailable, and Damaged where records are missing, or lie in the future.
    allow_gaps: those that are there, whatever is missing.
    """
    gaps: list[Damaged] = []
    ends = archive.manifest.ends(gaps if allow_gaps else None)
    entries = archive.manifest.entries()
    pruned: list[Entry] = []
    erasures = 0
    for kept in archive.manifest.pruned():
        pruned += kept.entries
        erasures += kept.erasures
    if not allow_gaps:
        refuse_the_future([*pruned, *entries], max_clock_ahead_ms)
        for gap in _gaps(archive, ends, pruned, entries):
            raise gap
        return Wanted(entries, pruned, erasures, gaps)
    missing = archive.missing(entries)
    gaps += [Damaged(path, "is missing") for path in sorted(missing)]
    gaps += _gaps(archive, ends, pruned, entries)
    return Wanted([entry for entry in entries if missing.isdisjoint(entry.paths)], pruned, erasures, gaps)


def _gaps(archive: Archive, ends: list[End], pruned: list[Entry], entries: list[Entry]) -> Iterator[Damaged]:
    """What does not fit among the listed files, and files that are not listed."""
    for finding in check_order(pruned, entries):
        yield Damaged(finding.path, f"is not in order: {finding.problem}", _HINT)
    for finding in check_identities(archive, [*pruned, *entries]):
        yield Damaged(finding.path, finding.problem, _HINT)
    for finding in check_ends(ends, [*pruned, *entries]):
        yield Damaged(finding.path, f"says that records are missing: {finding.problem}", _HINT)
    for path in _unlisted(archive):
        yield Damaged(path, "has no entry in the manifest, so nobody knows whether it is whole", _HINT)


def _unlisted(archive: Archive) -> list[str]:
    """The files that still have no entry after a while. A running backup writes the entry after the file."""
    left: list[str] = []
    for seconds in _LOOK_AGAIN_SECONDS:
        SYSTEM.sleep(seconds)
        known = archive.manifest.pruned_entries() + archive.manifest.entries()
        left = [*archive.unlisted(known)]
        if not left:
            break
    return left
