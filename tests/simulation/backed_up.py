"""The law of the backup: each record of the log is in one file, whatever happens, and a restore of them gives what the log says."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry, day_of
from devicesync.archive.ranges import by_range, entries_in
from devicesync.jobs.backup.verify import behind, check_log, check_order, check_range, check_unlisted
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.gather import gather
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.state import State, join
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.full import OFFSET, TIMESTAMP_MS, FullRecord
from tests.simulation.clocks import ProcessClock

if TYPE_CHECKING:
    from tests.simulation.kafka_broker import Kept
    from tests.simulation.world import World

_GROUP = "devicesync.backup"
_ENTRY = "/backup/_manifest/"
_ALL = RefusalLimit(1, 1000, 60)

Said = dict[tuple[int, int], tuple[str, State]]
"""By partition and offset: what the law makes of a record, and of which device."""


class BackedUp:
    """What is true of a backup. `wrong` is told what is not."""

    def __init__(self, world: "World", wrong: list[str]) -> None:
        self._world, self._wrong = world, wrong
        self._listed: dict[str, Entry] = {}
        self._ranges: defaultdict[int, dict[int, int]] = defaultdict(dict)
        self._commits = 0

    def look(self) -> None:
        """Look at what was put, and claimed, since the last look."""
        store = self._world.backup.store
        for path in store.changed:
            content = store.objects[path]
            if path.startswith(_ENTRY) and path.rpartition("/")[2].removesuffix(".json").isdigit():
                self._lists(entries_in(path.removeprefix("/backup/"), content))
            elif entry := self._listed.get(path):
                self._is_whole(entry)
        store.changed.clear()
        group = self._world.broker.groups.get(_GROUP)
        if group and group.commits != self._commits:
            self._commits = group.commits
            for partition, (start, _) in group.offsets.items():
                self.has_all(partition, start, "claimed")

    def has_all(self, partition: int, end: int, what: str) -> None:
        """The files that are listed have the log's records before `end`, for that was said."""
        low = self._world.broker.partitions[partition].low
        for offset in range(low, end):
            if not any(start <= offset < after for start, after in self._ranges[partition].items()):
                self._wrong.append(f"partition {partition}: {end} was {what}, and no file has record {offset}")
                return

    def finish(self, logged: dict[tuple[int, int], "Kept"], said: Said) -> None:
        """All is backed up. logged: every record that the log ever had; said: what the law makes of them."""
        self.look()
        archive, log, spool = _Reading(self._world), self._world.log(ProcessClock(self._world.time)), self._world.backup.spool()
        entries = archive.manifest.entries()
        survey = log.survey()
        found = [*check_order([], entries), *check_unlisted(archive, entries), *check_log([], entries, 1, survey)]
        for files in by_range(entries):
            found += check_range(archive, files, spool, log, deep=True)
        has_lost = any(partition.low for partition in self._world.broker.partitions)
        of_what_is_lost = ("gap: ", "has no entry") if has_lost else ()
        self._wrong += [f"verify: {each.problem}" for each in found if not each.problem.startswith(of_what_is_lost)]
        if left := behind(entries, 1, survey, log):
            self._wrong.append(f"verify: {left} records are in no file")
        kept: dict[tuple[int, int], FullRecord] = {}
        for entry in entries:
            for row in archive.rows[entry.path]:
                self._judge(entry, row, kept, logged)
        self._has_each(kept)
        if self._wrong:
            return
        stamps = sorted(record.stamp[1] for record in logged.values())
        for until_ms in (None, *stamps[len(stamps) // 2 :][:1]):
            known = {place: said[place] for place in kept if place in said}
            wanted = [
                device
                for place, device in known.items()
                if until_ms is None or device[1].erased or logged[place].stamp[1] <= until_ms
            ]
            self._restores(archive, entries, until_ms, _joined(wanted))

    def _lists(self, entries: list[Entry]) -> None:
        first = entries[0]
        ranges = self._ranges[first.partition]
        ranges[first.from_offset] = first.next_offset
        for start, after in ranges.items():
            if start != first.from_offset and start < first.next_offset and first.from_offset < after:
                self._wrong.append(
                    f"partition {first.partition}: records {first.from_offset} to {first.next_offset} were listed, "
                    f"and {start} to {after} are in other files"
                )
        for entry in entries:
            self._listed[f"/backup/{entry.path}"] = entry
            self._is_whole(entry)

    def _is_whole(self, entry: Entry) -> None:
        held = self._world.backup.store.objects.get(f"/backup/{entry.path}")
        if held is None or hashlib.sha256(held).hexdigest() != entry.sha256:
            self._wrong.append(f"file of partition {entry.partition} from {entry.first_offset} is listed and not there whole")

    def _judge(
        self, entry: Entry, row: FullRecord, kept: dict[tuple[int, int], FullRecord], logged: dict[tuple[int, int], "Kept"]
    ) -> None:
        place = entry.partition, row[OFFSET]
        record = logged.get(place)
        if place in kept:
            self._wrong.append(f"partition {place[0]}: record {place[1]} is in two files")
        if record is None or row != (record.offset, record.stamp[1], record.key, record.value, record.headers):
            self._wrong.append(f"partition {place[0]}: record {place[1]} is another one in the backup")
        if day_of(row[TIMESTAMP_MS]) != day_of(entry.first_ms):
            self._wrong.append(f"partition {place[0]}: records of several days are in one file")
        kept[place] = row

    def _has_each(self, kept: dict[tuple[int, int], FullRecord]) -> None:
        for number, partition in enumerate(self._world.broker.partitions):
            for offset in range(partition.low, partition.high):
                if (number, offset) not in kept:
                    self._wrong.append(f"partition {number}: record {offset} is in no file")

    def _restores(self, archive: "_Reading", entries: list[Entry], until_ms: int | None, wanted: dict[str, State]) -> None:
        buckets = _Buckets(self._world.backup.spool() / str(until_ms), 1)
        for entry in entries:
            rows, selection = archive.rows[entry.path], Selection(until_ms)
            gather(entry, [rows], selection, buckets, None, refusal_limit=_ALL, max_clock_ahead_ms=DEFAULT_MAX_CLOCK_AHEAD_MS)
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
    def fetched(self, entry: Entry, spool: Path) -> Iterator[Iterator[list[FullRecord]]]:
        """See Archive."""
        with super().fetched(entry, spool) as batches:
            self.rows[entry.path] = [row for batch in batches for row in batch]
            yield iter([self.rows[entry.path]])


class _Buckets(Buckets):
    def flush(self) -> None:
        """See Buckets: to a disk that loses nothing."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _joined(known: Iterable[tuple[str, State]]) -> dict[str, State]:
    joined: dict[str, State] = {}
    for name, state in known:
        joined[name] = join(joined[name], state) if name in joined else state
    return joined
