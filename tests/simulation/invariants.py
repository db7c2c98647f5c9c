"""The law, looked after at every step: what readers may see, what writers have promised, and what must be at the end.

Bounds: what a store holds of a device lies between the join of what was promised and the join of all that was ever said.
"""

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING, Any

from devicesync.cache.redis_hash import state_of as state_of_hash
from devicesync.database.cassandra import CassandraDatabase
from devicesync.dead_letters.port import DeadLetter
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.state import NOTHING, State, join, state_of
from tests.histories import shown
from tests.simulation.backed_up import BackedUp
from tests.simulation.gone import Began
from tests.simulation.lost import Lost, Place, life_of
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.kafka_broker import Kept

_MINIMA = {"firstaccess", "first_access", "user_declared_on"}


class Invariants:
    """What is true of a world. `wrong`: what is not; a device is named by its number."""

    def __init__(self, world: World, old: dict[int, Event]) -> None:
        self.wrong: list[str] = []
        self._world = world
        self._events: dict[str, list[Event]] = {name: [] for name in world.names}
        self._dead: dict[Place, DeadLetter] = {}
        self._taken: set[bytes | None] = set()
        self._records: dict[Place, Kept] = {}
        self._log: list[tuple[bytes, int]] = []
        self._at: Counter[int] = Counter()
        self._life = world.broker.topic_id
        self._of: dict[Place, tuple[str, State]] = {}
        self.backup = BackedUp(world, self._records, self._of, self.wrong)
        self._event_of: dict[Place, Event] = {}
        self.lost = Lost(world)
        self._committed: dict[tuple[str, int, int], int] = {}
        self._most: dict[str, State] = {}
        self._least: dict[str, State] = {}
        self._seen: dict[str, int] = {}
        self._acknowledged = self._appended = self._commits = 0
        for device, event in old.items():
            self._said(world.names[device], event)

    def look(self) -> None:
        """Look at everything that changed since the last look."""
        if (self._life, self._appended) != (self._world.broker.topic_id, self._world.broker.appended):
            self._read_log()
        commits = sum(group.commits for group in self._world.broker.groups.values())
        if self._commits != commits:
            self._commits = commits
            self._read_commits()
        redis = self._world.redis
        for key in [*redis.changed]:
            if not key.startswith(b"\x1f"):
                self._look_at_hash(key.decode())
        redis.changed.clear()
        self.backup.look()

    def logged(self) -> list[tuple[bytes, int]]:
        """See promises.Law."""
        self._read_log()
        return self._log

    def keeps(self, changes: dict[str, State]) -> None:
        """See promises.Law."""
        for name, change in changes.items():
            if name in self._events:
                self._least[name] = join(self._least.get(name, NOTHING), change)
                self._look_at_hash(name)
                self._look_at_rows(name)

    def begins(self, name: str) -> tuple[int, State]:
        """See promises.Law."""
        return self._seen.get(name, 0), self._least.get(name, NOTHING)

    def acknowledges(self, name: str, version: int, after: int | None) -> None:
        """See promises.Law."""
        self._read_log()
        if version not in [event.version for event in self._events[name]]:
            self._say(name, f"version {version} was acknowledged, and the law has not taken it")
        if after is not None:
            if version <= after:
                self._say(name, f"version {version} was given after {after}")
            self._acknowledged = max(self._acknowledged, version)

    def acknowledged(self) -> int:
        """See promises.Law."""
        return self._acknowledged

    def sees(self, name: str, seen: State, began: tuple[int, State]) -> None:
        """See promises.Law."""
        version, least = began
        if self._world.failed_over:
            return
        if seen.profile_version < version:
            self._say(name, f"a reader saw version {version}, and a later one {seen.profile_version}")
        self._seen[name] = max(seen.profile_version, self._seen.get(name, 0))
        self._within(name, seen, least, "a reader saw")

    def finish(self) -> None:
        """Everything was worked off: compare the raw hash and the raw row of each device with the law."""
        self.look()
        quiet = self._world.quiet
        for name in self._world.names:
            if not self._events[name]:
                continue
            wanted = self.lost.lawful(name, self._events[name], self._event_of)
            same = self._alike if len(wanted) > 1 and self._may_be_half(name) else self._same
            hashes = shown.hashes(quiet.cache, [name])  # type: ignore[arg-type]
            same(name, "hash", hashes.get(name), map(shown.wanted_hash, wanted))
            if isinstance(quiet.database, CassandraDatabase) and name in self._least:
                for number, row in enumerate(self._rows(name)):
                    same(name, f"row of replicas {number}", row, map(shown.wanted_row, wanted))
            if name not in hashes:
                quiet.read(name)
                filled = shown.hashes(quiet.cache, [name]).get(name)  # type: ignore[arg-type]
                same(name, "hash when filled", filled, map(shown.wanted_hash, wanted))
        for place, letter in self._dead.items():
            if letter.id not in self._world.dead.letters and place not in self.lost.places and letter.value not in self._taken:
                self.wrong.append(f"a refused record is not among the dead letters: {letter.value!r}")

    def finish_backup(self) -> None:
        """All is backed up."""
        self._read_log()
        self.backup.finish()

    def prunes(self, before_ms: int) -> None:
        """See promises.Law."""
        self.backup.gone.prunes(before_ms)

    def redacts(self, name: str) -> Began:
        """See promises.Law."""
        return self.backup.gone.redacts(name, self.backup.places())

    def has_redacted(self, name: str, erased: int, unlisted: set[str], began: Began) -> None:
        """See promises.Law."""
        self.backup.gone.has_redacted(name, erased, unlisted, began)

    def has_caught_up(self, group: str) -> None:
        """See promises.Law."""
        self.look()
        for number, partition in enumerate(self._world.broker.partitions):
            committed = self._committed.get((group, self._life, number), partition.low)
            if committed < partition.high:
                self.wrong.append(f"group {group} has caught up, and has committed {committed} of {partition.high} in {number}")

    def has_backed_up(self, ends: list[int]) -> None:
        """See promises.Law."""
        self.backup.look()
        for partition, end in enumerate(ends):
            self.backup.has_all(partition, end, "there when a backup had caught up")

    def _read_log(self) -> None:
        source = self._world.broker.topic
        if self._life != self._world.broker.topic_id:
            self._begin_life()
        self._appended = self._world.broker.appended
        for number, partition in enumerate(self._world.broker.partitions):
            for kept in partition.records[max(self._at[number] - partition.low, 0) :]:
                taken_ms, place = kept.stamp[1], (self._life, number, kept.offset)
                self._records[place] = kept
                self._log.append((kept.value or b"", taken_ms))
                try:
                    event = decode(kept.value or b"", taken_ms=taken_ms, logged_ms=taken_ms)
                except Refused as refused:
                    self._dead[place] = DeadLetter(kept.value, refused.reason, "", source, number, kept.offset, taken_ms)
                else:
                    if event.device_id in self._events:
                        self._said(event.device_id, event)
                        self._of[place] = event.device_id, state_of(event)
                        self._taken.add(kept.value)
                        self._event_of[place] = event
            self._at[number] = partition.high

    def _read_commits(self) -> None:
        for name, group in self._world.broker.groups.items():
            is_backup = name.endswith(".backup")
            kept: dict[str, State] = {}
            for partition, (offset, note) in group.offsets.items():
                if life_of(note) not in (None, self._life):
                    continue  # whoever reads on there knows that
                before = self._committed.get((name, self._life, partition), 0)
                if offset < before:
                    self.wrong.append(f"the commit of group {name} in partition {partition} goes back: {before} to {offset}")
                self._committed[name, self._life, partition] = offset
                for number in range(before, offset) if not is_backup else ():
                    place = self._life, partition, number
                    if self._is_gone(place) and self.lost.passes(name, place):
                        continue
                    if known := self._of.get(place):
                        kept[known[0]] = join(kept.get(known[0], NOTHING), known[1])
            self.keeps(kept)

    def _begin_life(self) -> None:
        """The topic was deleted: what no group has committed of it need not be known to anybody."""
        committed: dict[int, int] = {}
        for (name, life, partition), offset in self._committed.items():
            if life == self._life and not name.endswith(".backup"):
                committed[partition] = max(offset, committed.get(partition, 0))
        self.lost.places |= {
            place for place in self._records if place[0] == self._life and place[2] >= committed.get(place[1], 0)
        }
        self._life = self._world.broker.topic_id
        self._at.clear()
        self._acknowledged = 0

    def _is_gone(self, place: Place) -> bool:
        _, partition, offset = place
        return offset < self._world.broker.partitions[partition].low

    def _said(self, name: str, event: Event) -> None:
        self._events[name].append(event)
        self._most[name] = join(self._most.get(name, NOTHING), state_of(event))

    def _look_at_hash(self, name: str) -> None:
        hash_ = self._world.hash_of(name)
        if hash_ and name in self._events and not self._world.failed_over:
            self._within(
                name, state_of_hash(hash_) if "_state" in hash_ else NOTHING, self._least.get(name, NOTHING), "the hash holds"
            )

    def _look_at_rows(self, name: str) -> None:
        if not isinstance(self._world.quiet.database, CassandraDatabase):
            self._within(name, self._world.quiet.database.read([name]).get(name, NOTHING), self._least[name], "the row holds")
            return
        for asked in self._quorums(name):
            state = self._world.peek(asked).read([name]).get(name, NOTHING)
            self._within(name, state, self._least[name], f"replicas {asked} hold")

    def _within(self, name: str, state: State, least: State, what: str) -> None:
        """A tie is known whole only when both stores have settled it: of a device with one only versions are compared."""
        most = self._most.get(name, NOTHING)
        if self._has_tie(name):
            if state.profile_version < least.profile_version or state.erased < least.erased:
                self._say(name, f"{what} version {state.profile_version}, erase {state.erased}; promised were {least[:2]}")
            return
        if join(state, least) != state:
            self._say(name, f"{what} less than was promised: {state}\n    promised: {least}")
        if join(most, state) != most:
            self._say(name, f"{what} what nobody has said: {state}\n    said: {most}")

    def _has_tie(self, name: str) -> bool:
        versions = [event.version for event in {*self._events[name]}]
        return len(versions) != len({*versions})

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return [shown.rows(self._world.peek(asked), [name]).get(name, {}) for asked in self._quorums(name)]

    def _quorums(self, name: str) -> list[tuple[int, ...]]:
        """Those that may answer differently about the device: where all replicas have the same of it, one stands for all."""
        count = self._world.settings.replicas
        quorums = [*combinations(range(count), count // 2 + 1)]
        return quorums[:1] if self._world.ring.agrees(name) else quorums

    def _same(self, name: str, where: str, found: Any, lawful: Iterable[Any]) -> None:
        expected = [*lawful]
        if found is not None and found not in expected:
            self._say(name, f"{where}: {found}\n    the law says {expected[-1]}")

    def _alike(self, name: str, where: str, found: Any, lawful: Iterable[Any]) -> None:
        """Of what a writer that crashed may have left by half, and nobody brings again: field by field, without the minima."""
        expected = [*lawful]
        for field in {*(found or ())} - _MINIMA:
            if found[field] not in [each.get(field) for each in expected]:
                self._say(name, f"{where}: {field} is {found[field]!r}\n    the law says {expected}")

    def _may_be_half(self, name: str) -> bool:
        """A tie, or an erase, takes several steps."""
        return self._has_tie(name) or any(event.erase for event in self._events[name])

    def _say(self, name: str, what: str) -> None:
        self.wrong.append(f"device {self._world.names.index(name)}: {what}")
