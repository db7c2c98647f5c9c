"""Compares a revision with the file that it replaces, where that is still there: a killed redact leaves both.

So does whoever may only add objects to a bucket. What the revision lacks, or has otherwise, has to be a redact's.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, place_of
from devicesync.archive.revisions import Replaced, have_same_places
from devicesync.archive.side_by_side import Opened
from devicesync.errors import Damaged
from devicesync.jobs.backup.comparison import Comparison, Source
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.redact import may_revise
from devicesync.law.state import State
from devicesync.log.full import FullRecord

_MISSING = (
    "nothing is lost: what it replaces is there too; if it is forged, remove its entry, {}, and then it: the other counts then"
)
_EITHER = (
    "one of the two is forged, or both: `devicesync backup verify --deep` beside the log tells; before you remove one, copy it"
)


class Doubt(NamedTuple):
    """What is wrong with the revision of a file, beside one that it replaces or that has its place, and what to do."""

    revision: Entry
    problem: str
    hint: str


def doubts(archive: Archive, pairs: list[Replaced], spool: Path, cover: Cover) -> Iterator[Doubt]:
    """What is wrong with these revisions beside the files that they replace; see check_range of `cover`. Raises Unavailable."""
    is_of_first = cache(partial(_is_of_first, archive))
    for pair in pairs:
        yield from _doubts_of(archive, pair, spool, cover, is_of_first)


def _doubts_of(archive: Archive, pair: Replaced, spool: Path, cover: Cover, is_of_first: Callable[[str], bool]) -> list[Doubt]:
    revision, other = pair.revision, pair.other
    if not pair.others or not may_revise(revision, other):
        if is_of_first(pair.listing) and not is_of_first(place_of([other], ENTRY)):
            revision, other = other, revision
        said = f"its entry says otherwise than that of {other.path}, and no `devicesync backup redact` changes it so"
        return [Doubt(revision, said, _EITHER)]
    try:
        with archive.fetched(revision, spool) as batches:
            source = Source(other.path, _batches(archive, other, spool), is_whole=True)
            found = Comparison([Opened(revision, batches)], source).problems(cover)
            return [Doubt(revision, problem, _EITHER) for _, problem in found]
    except Damaged as damaged:
        if damaged.path in revision.paths:
            return [Doubt(revision, damaged.problem, _EITHER if other.revision else _MISSING.format(pair.listing))]
        return []  # the other one: a redact may just have removed it


def _is_of_first(archive: Archive, listing: str) -> bool:
    """Whether a redact may have made this listing of the one with which the backup listed the range."""
    with suppress(Damaged):
        files = archive.manifest.listed_at(listing)
        first = archive.manifest.first_listed(files) if files else []
        return have_same_places(first, files) and all(map(may_revise, files, first))
    return False


def refuse_doubts(archive: Archive, entries: list[Entry], pruned: Iterable[dict[str, State]], spool: Path) -> None:
    """Raise Damaged where a revision is not a redact's. pruned: the erases of the pruned ranges. Raises Unavailable."""
    pairs, cover = archive.replaced(entries), Cover()

    def found() -> Iterator[Doubt]:
        yield from doubts(archive, pairs, spool, cover)
        cover.learn(archive, entries, pruned, spool)
        if not cover.is_full:
            yield from doubts(archive, pairs, spool, cover)

    for revision, problem, hint in found():  # the first one: there may be many
        raise Damaged(revision.path, problem, hint)


def _batches(archive: Archive, entry: Entry, spool: Path) -> Iterator[list[FullRecord]]:
    with archive.fetched(entry, spool) as batches:
        yield from batches
