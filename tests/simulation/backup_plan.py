"""What a seed draws of a history of backups: processes of one group that keep the log, while others write to it."""

import random
from typing import Any

from devicesync.law.event import Event
from tests.law.strategies import BASE_US
from tests.simulation.plan import Job, Plan, Settings, draw_late_writer, draw_lines, draw_writers


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    return _cared_for(seed) if seed % 5 in (1, 4) else _kept(seed)


def _kept(seed: int) -> Plan:
    """Backups, and nothing else."""
    chance = random.Random(seed * 7 + 3)
    settings = Settings(replicas=1, partitions=chance.choice((1, 2, 3)), has_append_time=chance.random() < 0.8)
    settings = settings._replace(has_lives=seed % 5 == 2)
    devices = chance.choice((1, 2, 3))
    lines = draw_lines(devices, chance)
    split = chance.randrange(len(lines) // 2 + 1)
    how = _how(chance)
    jobs = [_backup(how if chance.random() < 0.3 else _how(chance), chance) for _ in range(chance.choice((1, 2, 3, 3)))]
    jobs += draw_writers(lines[split:], chance)
    if settings.has_lives:
        jobs += [draw_late_writer(devices, chance) for _ in range(2)]
    return Plan(settings, devices, {}, lines[:split], jobs)


def _backup(how: tuple[Any, ...], chance: random.Random) -> Job:
    if chance.random() < 0.3:
        return [("backup_all", how), ("backup_all", how)]
    return [("backup", how)]


def _cared_for(seed: int) -> Plan:
    """Backups of small files, while somebody prunes, and somebody redacts: one at a time, for so it is asked."""
    chance = random.Random(seed * 7 + 3)
    settings = Settings(replicas=1, partitions=chance.choice((1, 1, 2)), has_append_time=chance.random() < 0.8)
    devices = chance.choice((1, 2))
    lines = draw_lines(devices, chance)
    for device in range(devices):
        if chance.random() < 0.8:
            lines.insert(chance.randint(len(lines) // 3, len(lines)), (device, _erase(device, chance)))
    split = chance.choice((len(lines), chance.randrange(len(lines) + 1)))
    how = (chance.choice((1, 150, 150, 400)), 0.3, *_how(chance)[2:])
    jobs = [_backup(how, chance) for _ in range(chance.choice((1, 1, 2)))]
    first: Job = [("backup_all", how)] if chance.random() < 0.9 else []
    if chance.random() < 0.6:
        jobs.append([*first, *[("prune", chance.choice((0.0, 0.0, 0.5))) for _ in range(chance.randint(1, 3))]])
    if chance.random() < 0.7:
        jobs.append([*first, *[("redact", chance.randrange(devices)) for _ in range(chance.randint(1, 3))]])
    return Plan(settings, devices, {}, lines[:split], [*jobs, *draw_writers(lines[split:], chance)])


def _erase(device: int, chance: random.Random) -> Event:
    return Event(str(device), BASE_US + chance.choice((1400, 1400, 2100, 7_000)), True, 0, 0, ())  # noqa: FBT003


def _how(chance: random.Random) -> tuple[Any, ...]:
    """When a file is closed, its format, and how many files are open at once."""
    return (
        chance.choice((1, 300, 1 << 20, 1 << 20)),
        chance.choice((0.3, 0.3, 1.0, 3600.0)),
        "parquet" if chance.random() < 0.8 else "jsonl",
        4 if chance.random() < 0.2 else 1000,
    )
