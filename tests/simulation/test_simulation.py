"""Every order of everything (docs/testing.md): seeds, the histories that once failed, and the mistakes that seeds must find."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from devicesync.jobs.shared.patience import waited_for
from tests.simulation import backup_plan, embedded, plan
from tests.simulation.history import run
from tests.simulation.plan import Plan
from tests.simulation.planted import MISTAKES
from tests.simulation.regressions import HISTORIES
from tests.simulation.search import failing, quiet

SEEDS = 3_000
BACKUP_SEEDS = 200
EMBEDDED_SEEDS = 300
_PARTS = 10
_EMBEDDED_PARTS = 6
_PLANTED_PARTS = 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=quiet)
    yield
    structlog.reset_defaults()
    assert waited_for() == ""  # no process of a history is left behind


@pytest.mark.parametrize("part", range(_PARTS))
def test_seeds(part: int) -> None:
    """None of so many seeds fails. One that does is explained by `make simulate SEED=n`."""
    assert failing(range(SEEDS * part // _PARTS, SEEDS * (part + 1) // _PARTS)) == []


def test_seeds_of_backups() -> None:
    """The same of histories of backups: `make simulate BACKUP=1 SEED=n` explains one."""
    assert failing(range(BACKUP_SEEDS), "backup") == []


@pytest.mark.parametrize("part", range(_EMBEDDED_PARTS))
def test_seeds_of_one_machine(part: int) -> None:
    """The same of histories of `up` with its journal and SQLite: `make simulate EMBEDDED=1 SEED=n` shows one."""
    seeds = range(EMBEDDED_SEEDS * part // _EMBEDDED_PARTS, EMBEDDED_SEEDS * (part + 1) // _EMBEDDED_PARTS)
    assert failing(seeds, "embedded") == []


@pytest.mark.parametrize("draw", [plan.draw, backup_plan.draw])
def test_a_seed_gives_the_same_history_again(draw: Callable[[int], Plan]) -> None:
    """Turn by turn, and when its turns are given."""
    for seed in range(20):
        first = run(draw(seed), seed)
        assert run(draw(seed), seed) == first
        assert run(draw(seed), 0, first.turns).trace == first.trace


def test_a_seed_of_one_machine_gives_the_same_history_again() -> None:
    """Also where its disk is full."""
    for seed in range(5):
        assert embedded.run(seed) == embedded.run(seed)


TRACES = """
import structlog
from tests.simulation import backup_plan, plan
from tests.simulation.history import run
from tests.simulation.search import quiet

structlog.configure(wrapper_class=quiet)
print([run(draw(seed), seed).trace for draw in (plan.draw, backup_plan.draw) for seed in range(12)])
"""


def test_a_seed_gives_the_same_history_in_every_process() -> None:
    """In whatever order the sets of a process hold their texts."""
    traces = [
        subprocess.run(
            [sys.executable, "-c", TRACES], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in "01"
    ]
    assert traces[0] == traces[1]


@pytest.mark.parametrize("name", HISTORIES)
def test_what_once_failed(name: str) -> None:
    """Each of them by its turns."""
    planned, turns = HISTORIES[name]
    assert run(planned, 0, turns).wrong == []


@pytest.mark.parametrize("part", range(_PLANTED_PARTS))
def test_planted_mistakes_are_found(part: int) -> None:
    """Each within its number of seeds."""
    names = [mistake.name for mistake in MISTAKES[part::_PLANTED_PARTS]]
    command = [sys.executable, "-m", "tests.simulation.planted", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    assert [name for name in names if found[name] is None] == []
