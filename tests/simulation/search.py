"""Many seeds, in several processes."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import structlog

from tests.simulation.history import run
from tests.simulation.plan import draw

_SEEDS_A_TASK = 50
quiet = structlog.make_filtering_bound_logger(50)


def failing(seeds: range) -> list[int]:
    """Those of the seeds that fail."""
    structlog.configure(wrapper_class=quiet)
    return [seed for seed in seeds if run(draw(seed), seed).wrong]


def search(first: int, count: int, processes: int) -> Iterator[int]:
    """The seeds that fail, as they are found."""
    began, done = time.monotonic(), 0
    tasks = [range(start, min(start + _SEEDS_A_TASK, first + count)) for start in range(first, first + count, _SEEDS_A_TASK)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for task, failed in zip(tasks, pool.map(failing, tasks), strict=True):
            yield from failed
            done += len(task)
            if done % 1000 == 0 or done == count:
                print(f"{done} seeds, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
