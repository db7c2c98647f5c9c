"""Many seeds, in several processes."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import structlog

from tests.simulation import backup_plan, embedded, plan
from tests.simulation.history import run

_SEEDS_A_TASK = 50
quiet = structlog.make_filtering_bound_logger(50)


DRAWS = {"all": plan.draw, "backup": backup_plan.draw}
"""What a seed's history is about, where it has a plan; one of the embedded stores has none."""


def wrong(seed: int, about: str) -> list[str]:
    """What is wrong in the history of a seed."""
    return embedded.run(seed).wrong if about == "embedded" else run(DRAWS[about](seed), seed).wrong


def failing(seeds: range, about: str = "all") -> list[int]:
    """Those of the seeds that fail."""
    structlog.configure(wrapper_class=quiet)
    return [seed for seed in seeds if wrong(seed, about)]


def search(first: int, count: int, processes: int, about: str) -> Iterator[int]:
    """The seeds that fail, as they are found."""
    began, done = time.monotonic(), 0
    tasks = [range(start, min(start + _SEEDS_A_TASK, first + count)) for start in range(first, first + count, _SEEDS_A_TASK)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for task, failed in zip(tasks, pool.map(partial(failing, about=about), tasks), strict=True):
            yield from failed
            done += len(task)
            if done % 1000 == 0 or done == count:
                print(f"{done} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
