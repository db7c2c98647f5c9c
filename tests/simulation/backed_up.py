"""The law of the backup: each record of the log is in one file, whatever happens, and a restore of them gives what the log says."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry, day_of
from devicesync.archive.ranges import by_range, entries_in
from devicesync.archive.room import Room
from devicesync.jobs.backup.cover import Cover
from devicesync.jobs.backup.verify import (
    behind,
    check_entries,
    check_log,
    check_range,
)
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.gather import gather
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.state import State, join
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import OFFSET, TIMESTAMP_MS, FullRecord
from tests.simulation.clocks import ProcessClock
from tests.simulation.gone import Gone
from tests.simulation.lost import Place, life_of

if TYPE_CHECKING:
    from tests.simulation.kafka_broker import Kept
    from tests.simulation.world import World

Range = tuple[int, int, int]
_GROUP = "devicesync.backup"
_ENTRY = re.compile(r"/backup/_manifest/[^/]+/(\d+)/(\d+)/(\d+)(?:\.\d+-\w+)?(?:\.erasures)?\.json")

Said = dict[Place, tuple[str, State]]
"""By place: what the law makes of a record, and of which device."""


class BackedUp:
    """What is true of a backup."""

    def __init__(self, world: "World", logged: "dict[Place, Kept]", said: Said, wrong: list[str]) -> None:
        """logged: every record that the log ever had. said: what the law makes of them. `wrong` is told what is not true."""
        self._world, self._logged, self._said, self._wrong = world, logged, said, wrong
        self.gone = Gone(world, logged, said, wrong)
        self._listed: dict[Range, list[Entry]] = {}
        self._paths: dict[str, Range] = {}
        self._files: defaultdict[tuple[int, int], dict[str, Entry]] = defaultdict(dict)
        self._ranges: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        self._lives: dict[int, int] = {}
        self._commits = 0

    def look(self) -> None:
        """Look at what was put, and claimed, since the last look."""
        store = self._world.backup.store
        for path in store.changed:
            if match := _ENTRY.fullmatch(path):
                generation, partition, start = map(int, match.groups())
                self._lists((generation, partition, start))
            elif path in self._paths:
                self._is_whole(self._paths[path])
        store.changed.clear()
        group = self._world.broker.groups.get(_GROUP)
        if group and group.commits != self._commits:
            self._commits = group.commits
            for partition, (start, note) in group.offsets.items():
                if life_of(note) == self._world.broker.topic_id:
                    self.has_all(partition, start, "claimed")

    def has_all(self, partition: int, end: int, what: str) -> None:
        """The files that are listed have the log's records before `end`, for that was said."""
        low = self._world.broker.partitions[partition].low
        ranges = self._ranges[self._world.broker.topic_id, partition].items()
        for offset in range(low, end):
            if not any(start <= offset < after for start, after in ranges):
                self._wrong.append(f"partition {partition}: {end} was {what}, and no file has record {offset}")
                return

    def places(self) -> set[Place]:
        """Of the records that are, or were, in files."""
        return {
            (*part, offset)
            for part, files in self._files.items()
            for entry in files.values()
            for offset in range(entry.first_offset, entry.next_offset)
            if (*part, offset) in self._logged
        }

    def finish(self) -> None:
        """All is backed up."""
        self.look()
        archive, log, spool = _Reading(self._world), self._world.log(ProcessClock(self._world.time)), self._world.backup.spool()
        ends, entries = archive.manifest.ends(), archive.manifest.entries()
        survey = log.survey()
        generation = archive.manifest.generation_named(survey.identity) or 0
        pruned = archive.manifest.pruned_entries()
        found = [
            *check_entries(archive, ends, pruned, entries),
            *check_log(pruned, entries, generation, survey),
        ]
        cover = Cover()
        for files in by_range(entries):
            records = log.records if files[0].generation == generation else None
            found += check_range(archive, files, spool, records, cover, deep=True)
        cover.learn(archive, entries, pruned_erasures(archive, DEFAULT_MAX_CLOCK_AHEAD_MS), spool)
        if not cover.is_full:
            self._wrong.append("verify: revisions lack what no erase covers")
        has_lost = any(partition.low for partition in self._world.broker.partitions) or self._world.broker.topic_id > 1
        told = ("is on its way", *(("gap: ", "has no entry") if has_lost else ()))  # and two formats have two files of a range
        self._wrong += [f"verify: {each.problem}" for each in found if not each.problem.startswith(told)]
        if left := behind(entries, generation, survey, log):
            self._wrong.append(f"verify: {left} records are in no file")
        kept: dict[Place, FullRecord] = {}
        for entry in entries:
            for row in archive.rows.get(entry.path, ()):  # of one that is damaged, as verify says
                self._judge(entry, row, kept)
        self._has_each(kept)
        if self._wrong:
            return
        erased = self._erased_in(pruned)
        stamps = sorted(record.stamp[1] for record in self._logged.values())
        for until_ms in (None, *stamps[len(stamps) // 2 :][:1]):
            known = {place: self._said[place] for place in kept if place in self._said}
            wanted = [
                device
                for place, device in known.items()
                if until_ms is None or device[1].erased or self._logged[place].stamp[1] <= until_ms
            ]
            self._restores(archive, entries, until_ms, _joined([*wanted, *erased]))

    def _erased_in(self, pruned: list[Entry]) -> list[tuple[str, State]]:
        """What the law makes of the erases in these files."""
        places = {
            (self._life_of(entry.generation), entry.partition, offset)
            for entry in pruned
            for offset in range(entry.from_offset, entry.next_offset)
        }
        return [known for place, known in self._said.items() if place in places and known[1].erased]

    def _lists(self, range_: Range) -> None:
        """The files that count of a range: none where it is pruned, else those of its last revision."""
        generation, partition, start = range_
        directory = f"/backup/_manifest/{self._world.broker.topic}/{generation}/{partition}"
        objects = self._world.backup.store.objects
        if f"{directory}/{start}.erasures.json" in objects:
            self._listed.pop(range_, None)
            return
        revisions = [
            (int(match[1] or 0), path)
            for path in objects
            if (match := re.fullmatch(rf"{directory}/{start}(?:\.(\d+)-\w+)?\.json", path))
        ]
        path = max(revisions)[1]
        entries = entries_in(path.removeprefix("/backup/"), objects[path])
        first = entries[0]
        part = self._life_of(generation), partition
        ranges = self._ranges[part]
        ranges[first.from_offset] = first.next_offset
        for start, after in ranges.items():
            if start != first.from_offset and start < first.next_offset and first.from_offset < after:
                self._wrong.append(
                    f"partition {first.partition}: records {first.from_offset} to {first.next_offset} were listed, "
                    f"and {start} to {after} are in other files"
                )
        self._listed[range_] = entries
        self._files[part] |= {entry.path: entry for entry in entries}
        self._paths |= {f"/backup/{entry.path}": range_ for entry in entries}
        self._is_whole(range_)

    def _is_whole(self, range_: Range) -> None:
        for entry in self._listed.get(range_, ()):
            held = self._world.backup.store.objects.get(f"/backup/{entry.path}")
            if held is None or hashlib.sha256(held).hexdigest() != entry.sha256:
                self._wrong.append(f"file of partition {entry.partition} from {entry.first_offset} is listed and not there whole")

    def _judge(self, entry: Entry, row: FullRecord, kept: dict[Place, FullRecord]) -> None:
        place = self._life_of(entry.generation), entry.partition, row[OFFSET]
        record = self._logged.get(place)
        if place in kept:
            self._wrong.append(f"record {place} is in two files")
        if record is None or row != (record.offset, record.stamp[1], record.key, record.value, record.headers):
            self._wrong.append(f"record {place} is another one in the backup")
        if day_of(row[TIMESTAMP_MS]) != day_of(entry.first_ms):
            self._wrong.append(f"partition {place[1]}: records of several days are in one file")
        kept[place] = row

    def _has_each(self, kept: dict[Place, FullRecord]) -> None:
        """What the log still has, and what was ever in a file, is in one, unless it was pruned or redacted."""
        life, partitions = self._world.broker.topic_id, enumerate(self._world.broker.partitions)
        logged = {(life, number, record.offset) for number, partition in partitions for record in partition.records}
        for place in sorted({*logged, *self.places()} - {*kept}):
            *part, offset = place
            files = self._files[part[0], part[1]].values()
            if not self.gone.may_be(place, [entry for entry in files if entry.from_offset <= offset < entry.next_offset]):
                self._wrong.append(f"record {place} is in no file")

    def _life_of(self, generation: int) -> int:
        """Which of the topic's lives a generation is: its identity says so. 0 where it says something else."""
        if generation not in self._lives:
            held = self._world.backup.store.objects[f"/backup/_manifest/{self._world.broker.topic}/generation-{generation}.json"]
            told = re.match(rb'{"identity":"(\d+)"', held)
            self._lives[generation] = int(told[1]) if told else 0
        return self._lives[generation]

    def _restores(self, archive: "_Reading", entries: list[Entry], until_ms: int | None, wanted: dict[str, State]) -> None:
        buckets = Buckets(self._world.backup.spool() / str(until_ms), 1)
        buckets.prepare()
        for erasures in pruned_erasures(archive, DEFAULT_MAX_CLOCK_AHEAD_MS):
            buckets.add(erasures)
        for entry in entries:
            rows, selection = archive.rows[entry.path], Selection(until_ms)
            gather(entry, [rows], selection, buckets, None, max_clock_ahead_ms=DEFAULT_MAX_CLOCK_AHEAD_MS)
        buckets.count([buckets.flush()])
        found = buckets.read(0)
        for name in sorted({*wanted, *found}):
            if found.get(name) != wanted.get(name):
                self._wrong.append(f"restored until {until_ms}: {found.get(name)}\n    the law says {wanted.get(name)}")


class _Reading(Archive):
    """The archive; `rows` are those that were read, by the paths of their files."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.backup.store.storage(), world.broker.topic)
        self.rows: dict[str, list[FullRecord]] = {}

    @contextmanager
    def fetched(self, entry: Entry, spool: Path, room: Room | None = None) -> Iterator[Iterator[list[FullRecord]]]:
        """See Archive."""
        with super().fetched(entry, spool, room) as batches:
            self.rows[entry.path] = [row for batch in batches for row in batch]
            yield iter([[*self.rows[entry.path]]])


def _joined(known: Iterable[tuple[str, State]]) -> dict[str, State]:
    joined: dict[str, State] = {}
    for name, state in known:
        joined[name] = join(joined[name], state) if name in joined else state
    return joined
