"""The files of a range, and other listings of it: a redact writes it anew, and leaves the old listing where it was."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

from devicesync.archive.entry import Entry, rest_path
from devicesync.archive.listed import entries_at
from devicesync.archive.ranges import by_range, counting, places_of, range_of
from devicesync.archive.storage import Storage
from devicesync.errors import Damaged

_READERS = 16


class Replaced(NamedTuple):
    """The revision of a file, another one that is listed in its place, and the listing by which the revision counts.

    others: all files of the other listing, where both have files of the same places, as those of a redact do. Else none, and
    `other` is the first of them, for the names in an entry may be long, and such listings many. paths: the other one's files, of
    the whole listing where it does not fit.
    """

    revision: Entry
    other: Entry
    listing: str
    paths: Sequence[str]
    others: Sequence[Entry]

    @property
    def all_paths(self) -> list[str]:
        """Of all files of the other listing."""
        return [path for other in self.others for path in other.paths] or [*self.paths]


def replaced_in(storage: Storage, entries: Iterable[Entry]) -> list[Replaced]:
    """Return the revisions among these entries, each beside every other listing of its range. Raises Unavailable."""
    revisions = {files[0].range: files for files in by_range(entry for entry in entries if entry.revision)}
    listings: list[tuple[str, str]] = []
    for directory, offsets in places_of(revisions.values()).items():
        names = storage.names(directory)
        counts = counting(names)
        paths = [(f"{directory}/{name}", at) for name in names if (at := range_of(name)) is not None and at in offsets]
        listings += [(path, f"{directory}/{counts[at]}") for path, at in paths]

    def beside(listing: tuple[str, str]) -> list[Replaced]:
        path, counted = listing
        with suppress(Damaged):  # it does not count
            others = entries_at(storage, path)
            files = revisions.get(others[0].range, []) if others else []
            if not files:
                return []
            if [*map(places_in, files)] != [*map(places_in, others)]:
                paths = [path for other in others for path in other.paths]
                return [Replaced(files[0], others[0], counted, paths, others=())]
            pairs = [(file, other) for file, other in zip(files, others, strict=True) if file.path != other.path]
            return [Replaced(file, other, counted, other.paths, others) for file, other in pairs]
        return []

    with ThreadPoolExecutor(_READERS) as readers:
        return [*chain.from_iterable(readers.map(beside, listings))]


def have_same_places(some: list[Entry], others: list[Entry]) -> bool:
    """Whether two listings have the same bounds, and files of the same places, as what a redact writes and what it replaces."""
    bounds = {(entry.from_offset, entry.next_offset) for entry in (*some, *others)}
    return len(bounds) == 1 and {*map(places_in, some)} == {*map(places_in, others)}


def places_in(entry: Entry) -> tuple[str, str]:
    """Return the place of the entry's file, and that of a rest, which it may have: what all revisions of it share."""
    return stem_of(entry.path), stem_of(rest_path(entry))


def stem_of(path: str) -> str:
    """The path without revision and extension. All revisions of a file share it."""
    day, _, name = path.rpartition("/")
    return f"{day}/{name.partition('.')[0]}"
