"""A history: some devices' events, the jobs that work them off, and what happens between any two store calls."""

import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import msgspec

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.errors import Unavailable
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.law.maps import map_text
from devicesync.law.profile import view
from devicesync.law.state import State, join_all, state_of
from devicesync.stores import Stores
from tests.histories.world import Fate, Job
from tests.law.specification import specified
from tests.law.strategies import BASE_US, FEW_ENTRIES, few_entries

_FATES: tuple[Fate, ...] = ("crashes", "is refused", "loses its reply", "is done by half", "crashes after it")
_TEXTS = (None, None, None, "a", "b", "é", "\U0001f600", "\uffff")
_TIMES = (0, 0, 1_500_000_000_000, BASE_US // 1000, BASE_US // 1000 + 3, 1_900_000_000_000)
LOOKS_LIKE_OURS_US = 350
"""A row of another job that was written so much after BASE_US has the updated_date that we would write. Nothing tells it from
ours when it has no first_access, so it never has the version of an event: in life that would be one µs of two clocks."""

_numbers = itertools.count()
_MOST_SUBSETS = 8
_MOST_LOSSES = 30
"""So often the cache loses one device. A cache that loses it at every step keeps four jobs busy for ever, and does no harm."""


class Turn(NamedTuple):
    """One turn of the history: which job makes its next call, under which fate, and which devices the cache loses first."""

    job: int
    fate: Fate
    lost: frozenset[int]


class Plan(NamedTuple):
    """Everything of a history that is drawn beforehand.

    events: by device. old: by device a row that another job wrote, as the event that it counts as.
    jobs: what each does, in order: ("write", [(device, event)]), ("restore", the same), ("read", device) or ("refill", devices).
    """

    events: list[list[Event]]
    old: dict[int, Event]
    jobs: list[list[tuple[str, Any]]]


class Outcome(NamedTuple):
    """What came of it: the turns taken, the differences between readers and the law, and the trace."""

    turns: list[Turn]
    differences: list[str]
    trace: list[str]
    steps: int


def draw_event(chance: random.Random) -> Event:
    """An event; from small pools, so that ties, late events and erases in between are common."""
    version = BASE_US + chance.randrange(7) * 700
    if chance.random() < 0.15:
        return Event("d", version, erase=True)
    density = chance.choice((0.15, 0.5, 1.0))
    values = [_value(field, chance) if chance.random() < density else None for field in FIELDS]
    return Event("d", version, False, chance.choice(_TIMES), chance.choice(_TIMES), tuple(values))  # noqa: FBT003


def _value(field: str, chance: random.Random) -> str | None:
    if field not in MAP_FIELDS:
        return chance.choice(_TEXTS)
    keys = chance.sample(("os", "make", ""), chance.randrange(4))
    entries = [(key, chance.choice(("1", "long!", "é"))) for key in keys]
    return map_text({key + value * (value == "é"): value for key, value in entries[:FEW_ENTRIES]})


def draw(seed: int, devices: int, *, old_rows: bool) -> Plan:
    """A plan."""
    chance = random.Random(seed)
    events = [[draw_event(chance) for _ in range(chance.randint(1, 6))] for _ in range(devices)]
    old = {}
    for device in range(devices):
        if old_rows and chance.random() < 0.25:
            old[device] = _old_event(chance)
    deliveries = [(device, event) for device, of_device in enumerate(events) for event in of_device]
    deliveries += [each for each in deliveries if chance.random() < 0.2]
    chance.shuffle(deliveries)
    jobs: list[list[tuple[str, Any]]] = [[] for _ in range(chance.randint(2, 3))]
    while deliveries:
        size = chance.randint(1, max(devices, 2))
        chance.choice(jobs).append(("write", deliveries[:size]))
        deliveries = deliveries[size:]
    if chance.random() < 0.7:
        jobs.append([("read", chance.randrange(devices)) for _ in range(chance.randint(1, 4))])
    if chance.random() < 0.4:
        jobs.append([("refill", [*range(devices)])])
    if chance.random() < 0.4:
        some = [(device, event) for device, of_device in enumerate(events) for event in of_device if chance.random() < 0.6]
        jobs.append([("restore", some)])
    return Plan(events, old, jobs)


def _old_event(chance: random.Random) -> Event:
    """A row of another job, sometimes of the very version of an event, sometimes between two."""
    while True:
        event = draw_event(chance)
        if not event.erase and any(event.values):
            return msgspec.structs.replace(event, version=event.version + chance.choice((0, LOOKS_LIKE_OURS_US)))


class History:
    """Runs a plan over real stores. `lose` makes the cache lose devices; `write_old` writes a row as another job does."""

    def __init__(self, plan: Plan, cache: Cache, database: Database, world: Any) -> None:
        self.names = [f"history-{next(_numbers)}-{device}" for device in range(len(plan.events))]
        self._plan = plan
        self._stores = Stores(cache, database)
        self._world = world
        self._trace: list[str] = []
        self.differences: list[str] = []
        self._seen: dict[int, set[bytes]] = {}
        self._undone: list[list[tuple[int, Event]]] = []
        for device, event in plan.old.items():
            world.write_old(self.names[device], event)

    def run(self, seed: int, turns: list[Turn] | None = None) -> Outcome:
        """Work it off: by these turns, or by turns drawn from the seed; then in order, until nothing is left."""
        with few_entries():
            return self._run(seed, turns)

    def _run(self, seed: int, turns: list[Turn] | None) -> Outcome:
        jobs = [Job(f"job {number}", partial(self._work, work), self._note) for number, work in enumerate(self._plan.jobs)]
        self._undone += [what for work in self._plan.jobs for verb, what in work if verb == "write"]
        taken: list[Turn] = []
        for turn in self._drawn(seed, jobs) if turns is None else iter(turns):
            if turn.job < len(jobs) and not jobs[turn.job].is_over:
                self._lose(turn.lost)
                jobs[turn.job].step(turn.fate)
                taken.append(turn)
        for job in jobs:
            while not job.is_over:
                job.step()
        for job in jobs:
            if job.error:
                self.differences.append(f"{job.name} ended with {job.error!r}")
        self._work([("write", deliveries) for deliveries in [*self._undone]])
        self._compare()
        return Outcome(taken, self.differences, self._trace, len(self._trace) * len(self.names))

    def _drawn(self, seed: int, jobs: list[Job]) -> Iterator[Turn]:
        chance = random.Random(seed + 1)
        trouble, loss = chance.choice((0.0, 0.02, 0.08)), chance.choice((0.0, 0.05, 0.3))
        left = [_MOST_LOSSES] * len(self.names)
        while live := [number for number, job in enumerate(jobs) if not job.is_over]:
            fate = chance.choice(_FATES) if chance.random() < trouble else "goes on"
            lost = frozenset(device for device in range(len(left)) if left[device] and chance.random() < loss)
            for device in lost:
                left[device] -= 1
            yield Turn(chance.choice(live), fate, lost)

    def _work(self, work: list[tuple[str, Any]]) -> None:
        for verb, what in work:
            getattr(self, f"_{verb}")(what)
            if verb == "write":
                self._undone.remove(what)

    def _write(self, deliveries: list[tuple[int, Event]]) -> None:
        self._patiently(lambda: self._stores.write(self._changes(deliveries)))

    def _restore(self, deliveries: list[tuple[int, Event]]) -> None:
        self._patiently(lambda: self._stores.restore(self._changes(deliveries)))

    def _refill(self, devices: list[int]) -> None:
        self._patiently(lambda: self._stores.refill([self.names[device] for device in devices]))

    def _read(self, device: int) -> None:
        def read() -> None:
            self._judge(device, self._stores.read(self.names[device]))

        self._patiently(read)

    def _patiently(self, call: Any) -> None:
        while True:
            try:
                call()
            except Unavailable as error:
                self._note("", f"again: {error}")
            else:
                return

    def _changes(self, deliveries: list[tuple[int, Event]]) -> dict[str, State]:
        by_name = [msgspec.structs.replace(event, device_id=self.names[device]) for device, event in deliveries]
        return join_events(by_name)

    def _lose(self, devices: frozenset[int]) -> None:
        if devices:
            self._world.lose([self.names[device] for device in devices])
            self._note("", f"the cache loses {sorted(devices)}")

    def _judge(self, device: int, state: State) -> None:
        """Whether some set of the device's events has this profile."""
        events = self._all_events(device)
        if len(events) > _MOST_SUBSETS:
            return
        if device not in self._seen:
            self._seen[device] = {_document(state) for state in _subset_states(events)}
        if _document(state) not in self._seen[device]:
            self.differences.append(f"device {device}: no set of events has what a reader saw: {view('d', state)}")

    def _compare(self) -> None:
        for device, name in enumerate(self.names):
            wanted = specified(self._all_events(device))
            for where, shown, expected in self._world.shown(name, wanted):
                if shown is not None and shown != expected:
                    self.differences.append(f"device {device}, {where}: {shown}\n    the law says {expected}")

    def _all_events(self, device: int) -> list[Event]:
        return self._plan.events[device] + ([self._plan.old[device]] if device in self._plan.old else [])

    def _note(self, who: str, what: str) -> None:
        self._trace.append(f"{who:<6} {what}")


def _subset_states(events: list[Event]) -> Iterator[State]:
    states = [state_of(event) for event in events]
    for chosen in itertools.product((False, True), repeat=len(states)):
        yield join_all(itertools.compress(states, chosen))


def _document(state: State) -> bytes:
    return msgspec.json.encode(view("d", state), order="sorted")
