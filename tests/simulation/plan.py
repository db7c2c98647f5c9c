"""What a seed draws: the world's settings, the devices' events, and what each process is to do."""

import random
from typing import Any, NamedTuple

import msgspec

from devicesync.law.event import Event
from devicesync.law.facets import FIELDS, MAP_FIELDS
from tests.histories.history import LOOKS_LIKE_OURS_US, draw_event
from tests.simulation.scheduler import Fate

Job = list[tuple[str, Any]]
"""What a process does, one after the other: verbs of jobs.py, and what each is about."""

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

    forgets: the log's retention drops records now and then, whoever has read them. has_lives: the log's topic is deleted and made anew.
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
    has_lives: bool = False


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
    has_lives = not real and seed % 12 == 2
    settings = settings._replace(embedded=settings.embedded and not settings.forgets and not has_lives, has_lives=has_lives)
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
    if has_lives:
        jobs = [job for job in jobs if job[0][0] != "update"] + _updaters_of_lives(chance)
        jobs += [draw_late_writer(devices, chance) for _ in range(2)]
    return Plan(settings, devices, old, before, jobs)


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


def _updaters_of_lives(chance: random.Random) -> list[Job]:
    """Some are soon gone, so that others go on where they have committed; one ends when it has caught up."""
    jobs: list[Job] = [[("update", chance.choice((2, 2, 3, 5)))] for _ in range(chance.choice((1, 1, 2)))]
    return [*jobs, [("update", 0)]] if chance.random() < 0.3 else jobs


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


def draw_late_writer(devices: int, chance: random.Random) -> Job:
    """One that writes now and then, all along."""
    writes = draw_writers([*draw_lines(devices, chance), *draw_lines(devices, chance)], chance)
    return [verb for job in writes for verb in (("nap", chance.randrange(12)), *job)]


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
