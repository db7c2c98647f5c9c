"""The manifest of a topic: one small file for each file of the backup, so that any number of writers need no lock.

<topic>/_manifest/generation-<number>.json                        which log a generation is of
<topic>/_manifest/<generation>/<partition>/<first offset>.json    an entry (entry.py)
<topic>/_manifest/<generation>/<partition>/<first offset>.erasures.json    the file is pruned; these erasures were in it
"""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from devicesync.archive.entry import Entry, partition_directory
from devicesync.archive.place import Place
from devicesync.archive.trust import decoded, placed
from devicesync.errors import Damaged

T = TypeVar("T")

_READERS = 16
_ENTRY = re.compile(r"([0-9]+)\.json")
_ERASURES = re.compile(r"([0-9]+)\.erasures\.json")
_GENERATION = re.compile(r"(?:generation-)?([0-9]+)(?:\.json)?")


class Erasures(msgspec.Struct, frozen=True):
    """What is kept of a pruned file: its entry, and of each device erased in it the highest erase's version in µs."""

    entry: Entry
    erased: dict[str, int]


class _Generation(msgspec.Struct, frozen=True):
    identity: str


class Manifest:
    """Safe for threads, and for several processes."""

    def __init__(self, place: Place, topic: str) -> None:
        self._place = place
        self._topic = topic
        self._directory = f"{topic}/_manifest"

    def add(self, entry: Entry) -> None:
        """Make the file known. Raises Unavailable."""
        self._place.put_bytes(entry.manifest_path, msgspec.json.encode(entry))

    def entries(self, damaged: list[Damaged] | None = None) -> list[Entry]:
        """All of them, in order. What can't be read goes to `damaged`, or is raised. Raises Unavailable, Damaged."""
        return sorted(self._read(_ENTRY, self._entry, damaged), key=lambda entry: entry.order)

    def newest(self, generation: int, partition: int) -> Entry | None:
        """The last file of a partition. Raises Unavailable, Damaged."""
        directory = partition_directory(self._topic, generation, partition)
        names = _named(self._place.names(directory), _ENTRY)
        return self._entry(f"{directory}/{names[-1]}") if names else None

    def generation_named(self, identity: str) -> int | None:
        """The last number that the log with this identity has. Raises Unavailable, Damaged."""
        return self._generation(identity)[0] or None

    def generation_of(self, identity: str, *, after: int = 0) -> int:
        """The last number that the log with this identity has, above `after`; without one it is given the next number.

        Raises Unavailable, Damaged.
        """
        found, newest = self._generation(identity)
        if found > after:
            return found
        self._place.put_bytes(f"{self._directory}/generation-{newest + 1}.json", msgspec.json.encode(_Generation(identity)))
        return newest + 1

    def _generation(self, identity: str) -> tuple[int, int]:
        names = map(_GENERATION.fullmatch, self._place.names(self._directory))
        newest = max((int(name[1]) for name in names if name), default=0)
        found = 0
        for number in range(1, newest + 1):
            path = f"{self._directory}/generation-{number}.json"
            held = self._place.read_bytes(path)
            if held is None:
                raise Damaged(path, "is missing")
            if decoded(path, held, _Generation).identity == identity:
                found = number
        return found, newest

    def prune(self, entry: Entry, erased: dict[str, int]) -> None:
        """Forget a file that is to be removed, but not the erasures in it; repeating it is harmless. Raises Unavailable."""
        self._place.put_bytes(_erasures_path(entry), msgspec.json.encode(Erasures(entry, erased)))
        self._place.remove(entry.manifest_path)
        self.sweep(entry)

    def sweep(self, pruned: Entry) -> None:
        """Remove what a prune that was killed may have left of a file. Raises Unavailable."""
        self._place.remove(pruned.path)
        if pruned.rest:
            self._place.remove(pruned.rest.path)

    def pruned(self, damaged: list[Damaged] | None = None) -> list[Erasures]:
        """What is kept of pruned files, as `entries`. Raises Unavailable, Damaged."""
        found = self._read(_ERASURES, self._erasures, damaged)
        return sorted(found, key=lambda kept: kept.entry.order)

    def _partitions(self) -> list[str]:
        generations = [name for name in self._place.names(self._directory) if re.fullmatch("[0-9]+", name)]
        return [
            f"{self._directory}/{generation}/{partition}"
            for generation in generations
            for partition in self._place.names(f"{self._directory}/{generation}")
        ]

    def _read(self, kind: re.Pattern[str], read: Callable[[str], T | None], damaged: list[Damaged] | None) -> list[T]:
        paths = [f"{directory}/{name}" for directory in self._partitions() for name in _named(self._place.names(directory), kind)]

        def noting(path: str) -> T | None:
            try:
                return read(path)
            except Damaged as damage:
                if damaged is None:
                    raise
                damaged.append(damage)
                return None

        with ThreadPoolExecutor(_READERS) as readers:
            return [each for each in readers.map(noting, paths) if each]

    def _entry(self, path: str) -> Entry | None:
        held = self._place.read_bytes(path)
        if held is None:
            return None  # it was pruned since its name was read
        entry = decoded(path, held, Entry)
        placed(path, entry, entry.manifest_path)
        return entry

    def _erasures(self, path: str) -> Erasures | None:
        held = self._place.read_bytes(path)
        if held is None:
            return None
        kept = decoded(path, held, Erasures)
        placed(path, kept.entry, _erasures_path(kept.entry))
        return kept


def topics_at(place: Place) -> list[str]:
    """The topics that have a backup there. Raises Unavailable."""
    return [name for name in place.names("") if "_manifest" in place.names(name)]


def _erasures_path(entry: Entry) -> str:
    return entry.manifest_path.removesuffix(".json") + ".erasures.json"


def _named(names: list[str], kind: re.Pattern[str]) -> list[str]:
    """The names of this kind, by their offsets."""
    matches = [match for match in map(kind.fullmatch, names) if match]
    return [match[0] for match in sorted(matches, key=lambda match: int(match[1]))]
