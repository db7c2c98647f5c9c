"""The manifest of a topic: one small file for each range of records, so that any number of writers need no lock.

_manifest/<topic>/generation-<number>.json    the log of a generation, and how far the one before had come
_manifest/<topic>/<generation>/<partition>    the files of its ranges (ranges.py)
"""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from devicesync.archive.entry import NUMBER, SPOT, Entry, sharing
from devicesync.archive.generation import Begin, Generations
from devicesync.archive.listed import Listing, counts, entries_at, erasures_of, listings_of
from devicesync.archive.ranges import (
    ENTRY,
    ENTRY_BYTES,
    ERASURES,
    ERASURES_BYTES,
    Pruned,
    entries_in,
    erasures_in,
    listing_path,
    named,
    place_of,
    places_of,
    pruned_in,
    range_of,
    write_erasures,
)
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.errors import Damaged

T = TypeVar("T")

_READERS, _AT_ONCE = 16, 1000
MANIFEST = "_manifest"
_REST = re.compile(rf".*/({NUMBER})/{SPOT}(?:\.({NUMBER})-[0-9a-f]{{8}})?\.rest\.parquet")


class Manifest(Generations):
    """Safe for threads, and for several processes."""

    def __init__(self, storage: Storage, topic: str) -> None:
        super().__init__(storage, f"{MANIFEST}/{topic}")

    def add(self, entries: list[Entry]) -> None:
        """List the files of a range, all at once. Raises Unavailable."""
        self._storage.put_bytes(listing_path(entries, ENTRY), sealed(entries))

    def replace(self, files: list[Entry], revision: list[Entry]) -> bool:
        """List a revision of these files, all at once, where they are listed: a prune may just have removed them.

        Return whether they are. Raises Unavailable.
        """
        if self._storage.size(place_of(files, ENTRY)) is None:
            return False
        self._storage.put_bytes(place_of(revision, ENTRY), sealed(revision))
        return True

    def first_listed(self, entries: list[Entry]) -> list[Entry]:
        """The files with which the backup listed the range of these; none where it is not listed. Raises Unavailable, Damaged."""
        return self.listed_at(listing_path(entries, ENTRY))

    def listed_at(self, path: str) -> list[Entry]:
        """The files that are listed there, whether they count or not; none where nothing is. Raises Unavailable, Damaged."""
        return entries_at(self._storage, path)

    def named(self, files: list[Entry]) -> str:
        """What names this range here in a claim (full.Claim.listing); a redact changes nothing of that. Raises Unavailable.

        files: those of the range, none where there is none.
        """
        if files and files[0].revision:
            with suppress(Damaged):
                first = self.first_listed(files)
                files = first if first and first[0].next_offset == files[0].next_offset else files
        return named(self._storage.place, files)

    def pruned_from(self, generation: int, partition: int) -> list[int]:
        """Where the ranges of a partition begin of which there are erasures, as a prune keeps them. Raises Unavailable."""
        return sorted(erasures_in(self._storage.names(f"{self._directory}/{generation}/{partition}")))

    def entries(self, damaged: list[Damaged] | None = None) -> list[Entry]:
        """Return all entries, in order. An unreadable one goes to `damaged`, or is raised. Raises Unavailable, Damaged."""
        listed, texts = partial(self._listed, damaged=damaged), dict[str, str]()
        listings = self._of_all(listings_of)
        with ThreadPoolExecutor(_READERS) as readers:
            some = (listings[first : first + _AT_ONCE] for first in range(0, len(listings), _AT_ONCE))
            found = chain.from_iterable(readers.map(listed, listings) for listings in some)
            return sorted((entry for entries in found for entry in sharing(entries, texts)), key=lambda entry: entry.order)

    def newest(self, generation: int, partition: int) -> Entry | None:
        """Return a file of a partition's last range. Raises Unavailable, Damaged."""
        last = next(self.ranges_from_last(generation, partition), None)  # prune leaves it
        return last[0] if last else None

    def ranges_from_last(self, generation: int, partition: int) -> Iterator[list[Entry]]:
        """Yield a partition's ranges, the last one first. Each is read when it is asked for. Raises Unavailable, Damaged."""
        for listing in reversed(listings_of(self._storage, f"{self._directory}/{generation}/{partition}")):
            if entries := self._listed(listing):
                yield entries

    def _listed(self, listing: Listing, damaged: list[Damaged] | None = None) -> list[Entry]:
        """The entries; none where they do not count."""
        return (self._read(listing.path, ENTRY_BYTES, entries_in, damaged) or []) if counts(self._storage, listing) else []

    def generation_of(self, identity: str, *, after: int = 0) -> int:
        """Return the last generation of the log with this identity, above `after`. Without one, give it the next free number.

        Raises Unavailable, Damaged.
        """
        found, newest = self._named(identity)
        while found <= after:
            begun = sealed(Begin(identity, self._ended(newest)))
            newest += 1
            self._storage.create(f"{self._directory}/generation-{newest}.json", begun)
            if self._begun(newest).identity == identity:  # else another log has just got this number
                found = newest
        return found

    def prune(self, entries: list[Entry], erased: Iterable[tuple[str, int]], spool: Path) -> None:
        """Remove a range, but keep its erasures. Safe to repeat. Raises OSError, Unavailable, WrongUse for more than are read."""
        path, here = listing_path(entries, ERASURES), spool / f"{'-'.join(map(str, entries[0].range))}{ERASURES}"
        try:
            write_erasures(here, erased, entries)
            self._storage.put(here, path)
        finally:
            here.unlink(missing_ok=True)
        self._storage.remove(listing_path(entries, ENTRY))
        if entries[0].revision:  # only then there are more, and a listing has all names of the partition
            self.remove_pruned([entries])
        for entry in entries:
            self.sweep(entry)

    def pruned_before(self, entries: list[Entry]) -> Pruned | None:
        """What an earlier prune of this range has kept: its entries came back, or it was killed. Raises Unavailable, Damaged."""
        path = listing_path(entries, ERASURES)
        held = self._storage.read_bytes(path, ERASURES_BYTES)
        return None if held is None else pruned_in(path, held)

    def remove_pruned(self, ranges: list[list[Entry]]) -> None:
        """Remove the entries of ranges that are pruned. Each directory is listed once. Raises Unavailable."""
        for directory, offsets in places_of(ranges).items():
            for name in self._storage.names(directory):
                if range_of(name) in offsets:
                    self._storage.remove(f"{directory}/{name}")

    def sweep(self, entry: Entry) -> None:
        """Remove a file that no longer counts. Raises Unavailable."""
        if entry.rest:
            self._storage.remove(entry.rest.path)
        self._storage.remove(entry.path)

    def partitions(self) -> list[str]:
        """Return the directory of each partition's entries. Raises Unavailable."""
        names = self._storage.names(self._directory)
        generations = [f"{self._directory}/{name}" for name in names if re.fullmatch(NUMBER, name)]
        return [f"{generation}/{name}" for generation in generations for name in self._storage.names(generation)]

    def rests(self, only: list[Entry] | None = None) -> Iterator[tuple[str, int, int]]:
        """Yield the path of each `rest` that is there, with its partition, and the number of its revision.

        only: those that may be of these entries, and others of their partition. Raises Unavailable.
        """
        directories = self.partitions() if only is None else places_of([only])
        there = (f"{directory}/{name}" for directory in directories for name in self._storage.names(directory))
        for match in filter(None, map(_REST.fullmatch, there)):
            yield match[0], int(match[1]), int(match[2] or 0)

    def pruned(self, damaged: list[Damaged] | None = None) -> Iterator[Pruned]:
        """Yield what is kept of each pruned range, also where `entries` has it: a prune was killed, or somebody else wrote it.

        One at a time fits in memory; `damaged` as for `entries`.

        Raises Unavailable, Damaged.
        """
        for path in self._of_all(erasures_of):
            kept = self._read(path, ERASURES_BYTES, pruned_in, damaged)
            if kept:
                yield kept

    def pruned_entries(self, damaged: list[Damaged] | None = None) -> list[Entry]:
        """Return the entries of the pruned files, as `pruned` does. Raises Unavailable, Damaged."""
        texts: dict[str, str] = {}
        return [entry for kept in self.pruned(damaged) for entry in sharing(kept.entries, texts)]

    def _ended(self, generation: int) -> dict[int, int]:
        """How far each partition has come. One whose last entry is damaged is left out: verify names that entry."""
        names = self._storage.names(f"{self._directory}/{generation}")

        def newest(partition: int) -> Entry | None:
            with suppress(Damaged):
                return self.newest(generation, partition)
            return None

        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(newest, sorted(int(name) for name in names if re.fullmatch(NUMBER, name)))
            return {entry.partition: entry.next_offset for entry in found if entry}

    def _read(self, path: str, most_bytes: int, read: Callable[[str, bytes], T], damaged: list[Damaged] | None) -> T | None:
        """What `read` makes of the file; None where it is damaged, or gone since its name was read: its range was pruned."""
        try:
            held = self._storage.read_bytes(path, most_bytes)
            if held is None:
                self._refuse_what_is_no_file(path)
            return read(path, held) if held is not None else None
        except Damaged as damage:
            if damaged is None:
                raise
            damaged.append(Damaged(damage.path, damage.problem, damage.hint))  # without its traceback: they may be many
            return None

    def _refuse_what_is_no_file(self, path: str) -> None:
        """A store lists a name, without an object, where it has a key below it."""
        directory, _, name = path.rpartition("/")
        if name in self._storage.names(directory):
            raise Damaged(path, "is no file")

    def _of_all(self, paths_of: Callable[[Storage, str], list[T]]) -> list[T]:
        return [path for directory in self.partitions() for path in paths_of(self._storage, directory)]
