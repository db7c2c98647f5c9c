"""The manifest of a topic: one small file for each file of the backup, so that any number of writers need no lock.

<topic>/_manifest/generation-<number>.json                        which log a generation is of
<topic>/_manifest/<generation>/<partition>/<first offset>.json    an entry (entry.py)
<topic>/_manifest/<generation>/<partition>/<first offset>.erasures.json    the file is pruned; these erasures were in it
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from devicesync.archive.entry import Entry, partition_directory
from devicesync.archive.place import Place

_READERS = 16
_ENTRY = ".json"
_ERASURES = ".erasures.json"


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

    def entries(self) -> list[Entry]:
        """All of them, in order. Raises Unavailable."""
        found = [entry for directory in self._partitions() for entry in self._read(directory)]
        return sorted(found, key=lambda entry: entry.order)

    def newest(self, generation: int, partition: int) -> Entry | None:
        """The last file of a partition. Raises Unavailable."""
        directory = partition_directory(self._topic, generation, partition)
        offsets = _offsets(self._place.names(directory), _ENTRY)
        return self._entry(f"{directory}/{max(offsets)}{_ENTRY}") if offsets else None

    def generation_named(self, identity: str) -> int | None:
        """The last number that the log with this identity has. Raises Unavailable."""
        return self._generation(identity)[0] or None

    def generation_of(self, identity: str, *, after: int = 0) -> int:
        """The last number that the log with this identity has, above `after`; without one it is given the next number.

        Raises Unavailable.
        """
        found, newest = self._generation(identity)
        if found > after:
            return found
        self._place.put_bytes(f"{self._directory}/generation-{newest + 1}.json", msgspec.json.encode(_Generation(identity)))
        return newest + 1

    def _generation(self, identity: str) -> tuple[int, int]:
        newest = found = 0
        while held := self._place.read_bytes(f"{self._directory}/generation-{newest + 1}.json"):
            newest += 1
            if msgspec.json.decode(held, type=_Generation).identity == identity:
                found = newest
        return found, newest

    def prune(self, entry: Entry, erased: dict[str, int]) -> None:
        """Forget a file that is to be removed, but not the erasures in it; repeating it is harmless. Raises Unavailable."""
        kept = entry.manifest_path.removesuffix(_ENTRY) + _ERASURES
        self._place.put_bytes(kept, msgspec.json.encode(Erasures(entry, erased)))
        self._place.remove(entry.path)
        if entry.rest:
            self._place.remove(entry.rest.path)
        self._place.remove(entry.manifest_path)

    def pruned(self) -> Iterator[Erasures]:
        """What is kept of pruned files. Raises Unavailable."""
        for directory in self._partitions():
            for offset in sorted(_offsets(self._place.names(directory), _ERASURES)):
                if held := self._place.read_bytes(f"{directory}/{offset}{_ERASURES}"):
                    yield msgspec.json.decode(held, type=Erasures)

    def _partitions(self) -> list[str]:
        generations = [name for name in self._place.names(self._directory) if name.isdigit()]
        return [
            f"{self._directory}/{generation}/{partition}"
            for generation in generations
            for partition in self._place.names(f"{self._directory}/{generation}")
        ]

    def _read(self, directory: str) -> list[Entry]:
        names = [f"{directory}/{offset}{_ENTRY}" for offset in _offsets(self._place.names(directory), _ENTRY)]
        with ThreadPoolExecutor(_READERS) as readers:
            return [entry for entry in readers.map(self._entry, names) if entry]

    def _entry(self, path: str) -> Entry | None:
        held = self._place.read_bytes(path)
        return msgspec.json.decode(held, type=Entry) if held else None


def topics_at(place: Place) -> list[str]:
    """The topics that have a backup there. Raises Unavailable."""
    return [name for name in place.names("") if "_manifest" in place.names(name)]


def _offsets(names: list[str], ending: str) -> list[int]:
    return [int(name.removesuffix(ending)) for name in names if name.endswith(ending) and name.removesuffix(ending).isdigit()]
