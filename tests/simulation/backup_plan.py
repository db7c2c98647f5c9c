"""What a seed draws of a history of backups: processes of one group that keep the log, while others write to it."""

import random
from typing import Any

from tests.simulation.plan import Job, Plan, Settings, draw_lines, draw_writers


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    chance = random.Random(seed * 7 + 3)
    settings = Settings(replicas=1, partitions=chance.choice((1, 2, 3)), has_append_time=chance.random() < 0.8)
    devices = chance.choice((1, 2, 3))
    lines = draw_lines(devices, chance)
    split = chance.randrange(len(lines) // 2 + 1)
    how = _how(chance)
    jobs = [_backup(how if chance.random() < 0.3 else _how(chance), chance) for _ in range(chance.choice((1, 2, 3, 3)))]
    jobs += draw_writers(lines[split:], chance)
    return Plan(settings, devices, {}, lines[:split], jobs)


def _backup(how: tuple[Any, ...], chance: random.Random) -> Job:
    if chance.random() < 0.3:
        return [("backup_all", how), ("backup_all", how)]
    return [("backup", how)]


def _how(chance: random.Random) -> tuple[Any, ...]:
    """When a file is closed, its format, and how many files are open at once."""
    return (
        chance.choice((1, 300, 1 << 20, 1 << 20)),
        chance.choice((0.3, 0.3, 1.0, 3600.0)),
        "parquet" if chance.random() < 0.8 else "jsonl",
        4 if chance.random() < 0.2 else 1000,
    )
