"""Checks that a backup is whole, so that a restore says "equal" of all records, or says which are missing."""

from typing import Any, NamedTuple

import structlog

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.backup.verify import check_ends, check_identities, check_order
from devicesync.jobs.shared.backed_up import refuse_the_future

_LOOK_AGAIN_SECONDS = (0.0, 1.0, 3.0)
_SOME = 5
_log: Any = structlog.get_logger("devicesync")
_HINT = "`devicesync backup verify` finds every such place; --allow-gaps restores what is there"


class Wanted(NamedTuple):
    """The files that are there, in order, and the entries of pruned ones, whose erasures have proved to be whole."""

    entries: list[Entry]
    pruned: list[Entry]


def files_to_restore(archive: Archive, max_clock_ahead_ms: int, *, allow_gaps: bool) -> Wanted:
    """Return the files of all partitions, for any may have an erase.

    Raises Unavailable, and Damaged where records are missing, or lie in the future.
    allow_gaps: those that are there, whatever is missing.
    """
    ends = [] if allow_gaps else archive.manifest.ends()
    entries = archive.manifest.entries()
    pruned = archive.manifest.pruned_entries()
    if allow_gaps:
        return Wanted(_there(archive, entries), pruned)
    refuse_the_future([*pruned, *entries], max_clock_ahead_ms)
    for finding in check_order(pruned, entries):
        raise Damaged(finding.path, f"is not in order: {finding.problem}", _HINT)
    for finding in check_identities(archive, [*pruned, *entries]):
        raise Damaged(finding.path, finding.problem, _HINT)
    for finding in check_ends(ends, [*pruned, *entries]):
        raise Damaged(finding.path, f"says that records are missing: {finding.problem}", _HINT)
    for path in _unlisted(archive):
        raise Damaged(path, "has no entry in the manifest, so nobody knows whether it is whole", _HINT)
    return Wanted(entries, pruned)


def _there(archive: Archive, entries: list[Entry]) -> list[Entry]:
    """Those whose files are there. Log a warning of the others."""
    missing = archive.missing(entries)
    if missing:
        some = sorted(missing)[:_SOME]
        _log.warning("files of the backup are missing: their records are not restored", files=len(missing), paths=some)
    return [entry for entry in entries if missing.isdisjoint(entry.paths)]


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
