"""One topic's files: uploads them, reads them back, and finds the damaged ones."""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from devicesync.archive.entry import MOST_KILLED, NUMBER, SPOT, Entry, number_of
from devicesync.archive.files import ClosedFile, digest_of
from devicesync.archive.jsonl import read_json_lines
from devicesync.archive.manifest import MANIFEST, Manifest
from devicesync.archive.parquet_reading import read_parquet
from devicesync.archive.ranges import by_range
from devicesync.archive.revisions import Replaced, places_in, replaced_in, stem_of
from devicesync.archive.room import Room
from devicesync.archive.side_by_side import Opened
from devicesync.archive.storage import Storage
from devicesync.archive.trust import proved
from devicesync.durable import name_of
from devicesync.errors import Damaged
from devicesync.log.full import FullRecord

_ANY = 1 << 62
_DAY = re.compile(r"dt=.*")
_FILE = re.compile(rf"{NUMBER}_({NUMBER})_{SPOT}(?:\.({NUMBER})-[0-9a-f]{{8}})?\.(?:parquet|jsonl\.gz)")
_HIDDEN = re.compile(r"(?:generation-)?[0-9]\S*\.(?:parquet|jsonl\.gz|json)")
"""What a file was to be called that a killed upload left under a hidden name."""
UPLOAD_SECONDS = 3600.0
"""Who has not written to a file for so long, does not upload it any more."""


class _Found(NamedTuple):
    """A file of records that is there, or a rest. number: of its revision, 0 for none."""

    path: str
    place: str
    partition: int
    number: int


class Archive:
    """The backup of one topic. Safe for threads, and for several processes."""

    def __init__(self, storage: Storage, topic: str) -> None:
        self._storage = storage
        self.topic = topic
        self.manifest = Manifest(storage, topic)

    def generation_of(self, identity: str, *, after: int = 0) -> int:
        """See Manifest. Raises Damaged also for files without a manifest: a log's new generation would be written over them."""
        if not self.manifest.generations() and self.has_files() and not self.manifest.generations():  # asked again: two may begin
            raise Damaged(f"{MANIFEST}/{self.topic}", "is missing")
        return self.manifest.generation_of(identity, after=after)

    def has_files(self) -> bool:
        """Whether there are files of records, listed or not. Raises Unavailable."""
        return any(any(map(_FILE.fullmatch, self._storage.names(f"{self.topic}/{day}"))) for day in self._days())

    def upload(self, file: ClosedFile) -> None:
        """Upload the file. It counts when the manifest has its entry. Safe to repeat. Raises Unavailable."""
        if file.entry.rest and file.rest_here:
            self._storage.put(file.rest_here, file.entry.rest.path)
        self._storage.put(file.here, file.entry.path)
        if self._storage.is_local:
            for path in file.entry.paths:
                with suppress(Damaged):  # behind a link nothing is removed
                    self._remove(self._hidden_in(path.rpartition("/")[0], UPLOAD_SECONDS))

    def remove_unlisted(self, entries: list[Entry]) -> None:
        """Remove a range's files that were not listed, but for those that its listing names. Raises Unavailable, Damaged."""
        listed = {path for entry in self.manifest.first_listed(entries) for path in entry.paths}
        for entry in entries:
            if listed.isdisjoint(entry.paths):
                self.manifest.sweep(entry)

    @contextmanager
    def fetched(self, entry: Entry, spool: Path, room: Room | None = None) -> Iterator[Iterator[list[FullRecord]]]:
        """Check the file's checksums, then yield its rows, some thousand at a time.

        room: the memory that it shares with files beside it.
        Raises Unavailable, and Damaged, which names the file. Damaged also comes later, if the rows differ from the entry.
        """
        room = room or Room()
        name = "-".join([*map(str, entry.range), str(entry.first_offset), entry.revision])  # several are fetched at once
        try:
            here = self._checked(entry.path, entry.bytes, entry.sha256, spool / name)
            if entry.rest:
                extra = entry.rest
                rest = self._checked(extra.path, extra.bytes, extra.sha256, spool / f"{name}.rest")
                yield proved(entry, read_json_lines(here, rest, room))
            else:
                yield proved(entry, read_parquet(here, room))
        finally:
            for fetched in (spool / name, spool / f"{name}.rest"):
                fetched.unlink(missing_ok=True)

    @contextmanager
    def side_by_side(self, files: list[Entry], spool: Path) -> Iterator[list[Opened]]:
        """`fetched` for all files of a range: their records may alternate. All of them share the memory of one."""
        room = Room(len(files))
        with ExitStack() as fetched:
            yield [Opened(entry, fetched.enter_context(self.fetched(entry, spool, room))) for entry in files]

    def unlisted(self, known: Collection[Entry]) -> dict[str, int]:
        """Return the files of records, and their rests, that none of these entries names, each with its partition.

        Either an upload was interrupted or still runs, or an entry is missing. Other revisions of a listed file are skipped.
        Raises Unavailable.
        """
        places = {place for entry in known for place in places_in(entry)}
        return {path: partition for path, place, partition, _ in self._found() if place not in places}

    def superseded(self, pruned: Collection[Entry], entries: Collection[Entry]) -> list[str]:
        """Return what `unlisted` skips: the files and rests in whose place these entries name others, and those of pruned ranges.

        An upload or a prune was interrupted, or still runs, or they came back since. They may have an erased device's records.
        Raises Unavailable.
        """
        places = {place for entry in (*pruned, *entries) for place in places_in(entry)}
        named = {path for entry in entries for path in entry.paths}
        return [path for path, place, _, _ in self._found() if place in places and path not in named]

    def replaced(self, entries: Collection[Entry]) -> list[Replaced]:
        """Return each revision beside a file that was listed for its range, and is still there, or has another place.

        Raises Unavailable.
        """
        found = replaced_in(self._storage, entries)
        missing = self.missing([each.other for each in found if each.others])
        return [each for each in found if not each.others or missing.isdisjoint(each.other.paths)]

    def missing(self, entries: Iterable[Entry]) -> set[str]:
        """The paths of these entries' files, and of their rests, that are not there. Raises Unavailable."""
        return self.absent(path for entry in entries for path in entry.paths)

    def absent(self, paths: Iterable[str]) -> set[str]:
        """Those of the paths where no file is. Raises Unavailable."""
        wanted = {*paths}
        there = {
            f"{directory}/{name}"
            for directory in {path.rpartition("/")[0] for path in wanted}
            for name in self._storage.names(directory)
        }
        return wanted - there

    def last_revision(self, entries: list[Entry]) -> int:
        """The greatest number of a revision that a file of these, or a rest, ever had, listed or not. Raises Unavailable.

        Far above the listed one it is no redact's, and would leave no number for the next one.
        """
        places = {place for entry in entries for place in places_in(entry)}
        listed = number_of(entries[0].revision)
        found = (number for _, place, _, number in self._found(entries) if place in places)
        return max([listed, *(number for number in found if number <= listed + MOST_KILLED)])

    def interrupted(self, untouched_seconds: float = 0.0) -> list[str]:
        """Return what killed uploads left in a directory under hidden names, or what is on its way there.

        untouched_seconds: for how long nobody has written to it. Raises Unavailable.
        """
        days = [f"{self.topic}/{day}" for day in self._days()]
        manifests = [f"{MANIFEST}/{self.topic}", *self.manifest.partitions()]
        return [path for directory in (*days, *manifests) for path in self._hidden_in(directory, untouched_seconds)]

    def remove_leftovers(self, listed: list[Entry], pruned: list[Entry], untouched_seconds: float = 0.0) -> None:
        """Remove files that a prune or a redact has removed, or was killed before it did, or that came back since.

        listed, pruned: the entries that were found to be in order, and not what the manifest may have got meanwhile. A range of
        both stays.
        What `interrupted` returns goes too: who still writes it, fails, and writes it again. Raises Unavailable, Damaged.
        """
        last = {place: number_of(entry.revision) for entry in listed for place in places_in(entry)}
        ranges = {entry.range for entry in listed}
        gone = [entry for entry in pruned if entry.range not in ranges]
        last |= {place: _ANY for entry in gone for place in places_in(entry)}
        self.manifest.remove_pruned(by_range(gone))
        self._remove([path for path, place, _, number in self._found() if number < last.get(place, 0)])
        self._remove(self.interrupted(untouched_seconds))

    def _hidden_in(self, directory: str, untouched_seconds: float) -> list[str]:
        names = [name for name in self._storage.names(directory) if _HIDDEN.fullmatch(name_of(name))]
        paths = [f"{directory}/{name}" for name in names]
        return [path for path in paths if not untouched_seconds or self._storage.is_untouched(path, untouched_seconds)]

    def _remove(self, paths: list[str]) -> None:
        for path in paths:
            self._storage.remove(path)

    def _found(self, only: list[Entry] | None = None) -> Iterator["_Found"]:
        """The files of records that are there, and the rests; only: those in the directories of these entries."""
        days = self._days() if only is None else sorted({entry.path.split("/")[1] for entry in only})
        for path in (f"{self.topic}/{day}/{name}" for day in days for name in self._storage.names(f"{self.topic}/{day}")):
            if match := _FILE.fullmatch(path.rpartition("/")[2]):
                yield _Found(path, stem_of(path), int(match[1]), int(match[2] or 0))
        if only is None or any(entry.rest for entry in only):
            for path, partition, number in self.manifest.rests(only):
                yield _Found(path, stem_of(path), partition, number)

    def _days(self) -> list[str]:
        return [name for name in self._storage.names(self.topic) if _DAY.fullmatch(name)]

    def _checked(self, path: str, size: int, sha256: str, into: Path) -> Path:
        found = self._storage.size(path)  # before it is fetched: the disk has room for what the entry says
        if found is not None and found != size:
            raise Damaged(path, f"has {found:,} bytes instead of {size:,}")
        here = self._storage.fetch(path, into, size)
        if here is None:
            raise Damaged(path, "is missing")
        if digest_of(here) != sha256:
            raise Damaged(path, "is not what was written: its checksum differs")
        return here


def topics_at(storage: Storage) -> list[str]:
    """Return the topics that have a backup there, or files of one whose manifest is lost. Raises Unavailable."""
    named = {name for name in storage.names(MANIFEST) if Archive(storage, name).manifest.generations()}
    others = [name for name in storage.names("") if name not in {MANIFEST, *named}]
    return sorted({*named, *(name for name in others if Archive(storage, name).has_files())})
