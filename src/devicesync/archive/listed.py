"""Which of a partition's ranges are listed, and which are pruned, by the names in its directory (ranges.py).

Of several entries of a range those of the greatest revision count. Erasures always count. Entries beside them count while a file
of the range is there. So erasures that somebody adds hide no record. An entry that comes late, from a process that was stopped
while it listed the range, changes nothing.
"""

from contextlib import suppress
from typing import NamedTuple

from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY_BYTES, counting, entries_in, erasures_in, range_of
from devicesync.archive.storage import Storage
from devicesync.errors import Damaged


class Listing(NamedTuple):
    """The path of the entries of a range, which begins at this offset.

    all_of_range: where it has erasures too, the paths of all its entries; else empty.
    """

    path: str
    offset: int
    all_of_range: list[str]


def listings_of(storage: Storage, directory: str) -> list[Listing]:
    """Return the entries of the last revision of each range, by the ranges' offsets. Ask `counts` of each. Raises Unavailable."""
    names = storage.names(directory)
    listed = counting(names)
    of_both: dict[int | None, list[str]] = {at: [] for at in listed.keys() & erasures_in(names).keys()}
    for name in names if of_both else ():
        if (at := range_of(name)) in of_both:
            of_both[at].append(f"{directory}/{name}")
    return [Listing(f"{directory}/{listed[at]}", at, of_both.get(at, [])) for at in sorted(listed)]


def counts(storage: Storage, listing: Listing) -> bool:
    """Whether these entries count. Those that can't be read do: who reads them says so. Raises Unavailable."""
    return not listing.all_of_range or _has_files(storage, listing.all_of_range) or _is_damaged(storage, listing.path)


def erasures_of(storage: Storage, directory: str) -> list[str]:
    """Return the paths of what prunes have kept, by the ranges' offsets. Raises Unavailable."""
    return [f"{directory}/{name}" for _, name in sorted(erasures_in(storage.names(directory)).items())]


def entries_at(storage: Storage, path: str) -> list[Entry]:
    """The files listed there, in order, whether they count or not; none where nothing is. Raises Unavailable, Damaged."""
    held = storage.read_bytes(path, ENTRY_BYTES)
    return [] if held is None else sorted(entries_in(path, held), key=lambda entry: entry.order)


def _is_damaged(storage: Storage, path: str) -> bool:
    """Else the files that it names would be removed as those of a pruned range."""
    try:
        entries_at(storage, path)
    except Damaged:
        return True
    return False


def _has_files(storage: Storage, listings: list[str]) -> bool:
    """Whether a file of the range is there, by any of its entries: a prune removes all of them, and who may only add none."""
    for path in listings:
        with suppress(Damaged):
            if any(storage.size(file) is not None for entry in entries_at(storage, path) for file in entry.paths):
                return True
    return False
