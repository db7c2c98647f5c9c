"""What a seed draws: the world's settings, the devices' events, and what each process is to do."""

import random
from typing import Any, NamedTuple

import msgspec

from devicesync.law.event import Event
from devicesync.law.facets import FIELDS, MAP_FIELDS
from tests.histories.history import LOOKS_LIKE_OURS_US, draw_event
from tests.simulation.scheduler import FATES, Fate

Job = list[tuple[str, Any]]
"""What a process does, one after the other: verbs of jobs.py, and what each is about."""

HAPPENINGS = ("evict", "flush", "late", "scripts", "time", "kick", "full", "down", "clock", "stop", "fail over", "ten days")
"""What befalls the world between two calls: world.py says what each is."""

_COMMON = ("evict", "evict", "evict", "late", "late", "time", "kick", "scripts", "clock", "flush", "full", "down", "stop")
_RARE = ("fail over", "ten days")
_OF_BACKUPS = ("kick", "kick", "kick", "late", "late", "time", "time", "clock", "hours", "disk", "stop", "retain")
_MOST_TURNS = 400
_AWAKE_TURNS, _MOST_ASLEEP_TURNS = 10, 80
_DAY_US, _HOUR_US = 86_400_000_000, 3_600_000_000


class Happening(NamedTuple):
    """What happens, and to whom or how much."""

    what: str
    number: int


class Turn(NamedTuple):
    """Whose turn it is, what becomes of the call that it makes, and what happens before it."""

    process: int
    fate: Fate = "goes on"
    before: Happening | None = None


class Settings(NamedTuple):
    """The world's. ttl_ms: of profiles and tombstones, 0 for ever. torn: rows of several devices go in one batch.

    forgets: the log's retention drops records now and then, whoever has read them.
    """

    replicas: int = 3
    release: str = "5.0.2"
    partitions: int = 2
    has_append_time: bool = True
    ttl_ms: int = 0
    batch_records: int = 4
    torn: bool = False
    embedded: bool = False
    forgets: bool = False


class Plan(NamedTuple):
    """devices: how many. old: the row that another job wrote of a device, as the event that it counts as.

    lines: the log at the beginning, each with its device, or -1 for a record without a key. jobs: the processes.
    """

    settings: Settings
    devices: int
    old: dict[int, Event]
    lines: list[tuple[int, Event | bytes]]
    jobs: list[Job]


def draw(seed: int, *, real: bool = False) -> Plan:
    """The plan of a seed. real: one that real servers can follow, step by step."""
    chance = random.Random(seed)
    settings = Settings(
        replicas=1 if real else chance.choice((1, 3, 3)),
        release="5.0.2" if real else chance.choice(("5.0.2", "5.0.2", "4.1.3")),
        partitions=chance.choice((1, 2, 3)),
        has_append_time=chance.random() < 0.8,
        ttl_ms=0 if real or chance.random() < 0.7 else 5_000,
        batch_records=chance.choice((1, 3, 10)),
        torn=chance.random() < 0.2,
        embedded=not real and chance.random() < 0.06,
        forgets=not real and seed % 12 == 5,
    )
    settings = settings._replace(embedded=settings.embedded and not settings.forgets)
    devices = chance.choice((1, 1, 2, 3))
    old = {}
    for device in range(devices):
        if chance.random() < 0.2 and not settings.embedded:
            old[device] = _old_event(chance)
    lines = draw_lines(devices, chance)
    split = chance.randrange(len(lines) + 1)
    jobs: list[Job] = [[("update", chance.randint(2, 8))] for _ in range(chance.choice((1, 2, 2, 3)))]
    jobs += draw_writers(lines[split:], chance)
    jobs += [
        job for job in _others(devices, len(lines), chance) if not real or job[0][0] != "rebuild"
    ]  # others' devices are there
    before = lines[:split]
    if not real and seed % 12 == 7:
        before += _from_the_future(devices, chance)
        jobs.append([("replay_refused", 2 * 3600) for _ in range(chance.randint(1, 2))])
    return Plan(settings, devices, old, before, jobs)


def turns(seed: int, *, real: bool = False, backs_up: bool = False, forgets: bool = False) -> "Turns":
    """What a seed draws of each turn."""
    return Turns(seed, real=real, backs_up=backs_up, forgets=forgets)


class Turns:
    """Draws turns one by one, for whoever is alive."""

    def __init__(self, seed: int, *, real: bool, backs_up: bool, forgets: bool) -> None:
        self.most = _MOST_TURNS // 2 if backs_up else _MOST_TURNS
        self._chance = random.Random(seed * 7 + 1)
        chance = self._chance
        self._trouble, self._happens = chance.choice((0.0, 0.03, 0.1)), chance.choice((0.0, 0.05, 0.2, 0.4))
        self._happenings = ("evict", "scripts") if real else _COMMON + (_RARE if chance.random() < 0.1 else ())
        self._backs_up, self._stays, self._last, self._asleep, self._left = backs_up, 0.0, -1, -1, 0
        if backs_up:
            self._happenings = _OF_BACKUPS
            self._stays = chance.choice((0.0, 0.8, 0.95))
            self._trouble, self._happens = chance.choice((0.0, 0.1, 0.2)), chance.choice((0.1, 0.2, 0.4))
        if forgets:
            self._happenings += ("retain", "retain", "retain")
            self._happens = self._happens or 0.2
        self._fates: tuple[Fate, ...] = tuple(fate for fate in FATES if not real or fate != "comes late")

    def next(self, alive: list[int]) -> Turn:
        """The next turn."""
        chance = self._chance
        fate: Fate = chance.choice(self._fates) if chance.random() < self._trouble else "goes on"
        before = Happening(chance.choice(self._happenings), chance.randrange(60)) if chance.random() < self._happens else None
        if self._backs_up:
            alive = self._awake(alive)
        if not (self._stays and self._last in alive and chance.random() < self._stays):
            self._last = chance.choice(alive)
        return Turn(self._last, fate, before)

    def _awake(self, alive: list[int]) -> list[int]:
        """A process now and then gets no turn for a long time: meanwhile others take over what it has begun."""
        self._left -= 1
        if self._left < -_AWAKE_TURNS:
            self._asleep, self._left = self._last, self._chance.randrange(_MOST_ASLEEP_TURNS)
        return [number for number in alive if number != self._asleep or self._left < 0] or alive


def line_of(event: Event | bytes, device_id: str) -> bytes:
    """A record's bytes. Bytes are taken as they are; an event of a negative version is written as by a writer without versions."""
    if isinstance(event, bytes):
        return event
    if event.erase:
        return msgspec.json.encode({"device_id": device_id, "erase": True, "version": event.version})
    known: dict[str, Any] = {"device_id": device_id, "version": event.version}
    if event.version < 0:
        known["version"] = None
    known |= {"api_last_updated_on": event.api_last_updated_on or None, "first_access": event.first_access or None}
    for field, text in zip(FIELDS, event.values, strict=True):
        if text:
            known[field] = msgspec.json.decode(text) if field in MAP_FIELDS else text
    return msgspec.json.encode({name: value for name, value in known.items() if value is not None})


def draw_lines(devices: int, chance: random.Random) -> list[tuple[int, Event | bytes]]:
    """Events, and what is none, in any order, each with its device."""
    lines = []
    for device in range(devices):
        count = chance.randint(1, 5)
        lines += [(device if chance.random() < 0.8 else -1, _line(device, chance)) for _ in range(count)]
    chance.shuffle(lines)
    lines += [line for line in lines if chance.random() < 0.15]
    return lines


def _from_the_future(devices: int, chance: random.Random) -> list[tuple[int, Event | bytes]]:
    """Lines of somebody whose clock is an hour ahead."""
    events = [msgspec.structs.replace(draw_event(chance), device_id=str(device)) for device in range(devices)]
    return [(int(event.device_id), msgspec.structs.replace(event, version=event.version + _HOUR_US)) for event in events]


def _line(device: int, chance: random.Random) -> Event | bytes:
    event = msgspec.structs.replace(draw_event(chance), device_id=str(device))
    kind = chance.random()
    if kind < 0.05:
        return chance.choice((b"{", b"[]", b'{"device_id": ""}', b"\xff", b'{"device_id": 7}'))
    if kind < 0.1:
        return msgspec.structs.replace(event, version=event.version + 10_000 * _DAY_US)
    if kind < 0.2 and not event.erase and event.api_last_updated_on and event.api_last_updated_on < event.version // 1000 + 100:
        return msgspec.structs.replace(event, version=-1)
    return event


def _old_event(chance: random.Random) -> Event:
    while True:
        event = draw_event(chance)
        if not event.erase and any(event.values):
            return msgspec.structs.replace(event, version=event.version + chance.choice((1, LOOKS_LIKE_OURS_US)))


def draw_writers(lines: list[Any], chance: random.Random) -> list[Job]:
    """Processes that write these."""
    jobs: list[Job] = []
    while lines:
        size = chance.randint(1, 4)
        jobs.append([(chance.choice(("append", "append", "apply")), lines[:size])])
        lines = lines[size:]
    return jobs


def _request(devices: int, chance: random.Random) -> tuple[str, int, Any]:
    what = chance.choice(("register", "register", "get", "get", "get_own", "erase"))
    event = draw_event(chance)
    while event.erase:
        event = draw_event(chance)
    return what, chance.randrange(devices), event if what == "register" else None


def _others(devices: int, lines: int, chance: random.Random) -> list[Job]:
    jobs: list[Job] = []
    if chance.random() < 0.6:
        jobs.append([("read", chance.randrange(devices)) for _ in range(chance.randint(1, 5))])
    if chance.random() < 0.3:
        jobs.append([("read", chance.randrange(devices)) for _ in range(chance.randint(1, 5))])
    if chance.random() < 0.25:
        jobs.append([("rebuild", None)])
    if chance.random() < 0.25:
        jobs.append([("restore", chance.randint(1, lines))])
    if chance.random() < 0.25:
        jobs.append([("erase", chance.randrange(devices))])
    for _ in range(chance.choice((0, 0, 1, 2))):
        requests = [_request(devices, chance) for _ in range(chance.randint(1, 5))]
        jobs.append([("serve", requests[:2]), ("serve", requests[2:])])
    if chance.random() < 0.15:
        jobs.append([("replay", chance.randint(1, 4))])
    return jobs
