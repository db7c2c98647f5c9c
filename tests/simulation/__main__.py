"""Runs seeds: `python -m tests.simulation --seeds 10000`, or one: `--seed 4711`, with its trace."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import structlog

from tests.simulation.history import run
from tests.simulation.plan import draw
from tests.simulation.shrink import pasted, shrunk

_SEEDS_A_TASK = 50
_quiet = structlog.make_filtering_bound_logger(50)


def failing(seeds: range) -> list[int]:
    """Those of the seeds that fail."""
    structlog.configure(wrapper_class=_quiet)
    return [seed for seed in seeds if run(draw(seed), seed).wrong]


def explain(seed: int) -> None:
    """Print what a seed shows: what is wrong, and the shortest history that shows it."""
    plan = draw(seed)
    outcome = run(plan, seed)
    if not outcome.wrong:
        print(*outcome.trace, sep="\n")
        return
    print(f"seed {seed}: {outcome.wrong[0]}", flush=True)
    plan, turns = shrunk(plan, outcome.turns)
    outcome = run(plan, 0, turns)
    print(pasted(plan, turns), *outcome.trace, *outcome.wrong, sep="\n")


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


def compare(first: int, count: int) -> int:
    """Run seeds on real servers; print what differs; 1 if anything did."""
    from tests.simulation.real import Servers, differences  # noqa: PLC0415 - needs the servers' programs

    real, failed = Servers(), 0
    for seed in range(first, first + count):
        for difference in differences(seed, real):
            failed = 1
            print(f"seed {seed}: {difference}", flush=True)
        if (seed - first + 1) % 50 == 0:
            print(f"{seed - first + 1} seeds on real servers", file=sys.stderr, flush=True)
    real.close()
    return failed


def main() -> int:
    """Run seeds; print the first that fails, shrunk; 1 if any did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many [10000]")
    parser.add_argument("--first", type=int, default=0, help="the first of them [0]")
    parser.add_argument("--seed", type=int, help="this one alone, with its trace")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at work at once [one a core]")
    parser.add_argument("--real", action="store_true", help="on real servers, compared step by step")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=_quiet)
    if arguments.seed is not None:
        explain(arguments.seed)
        return 0
    if arguments.real:
        return compare(arguments.first, arguments.seeds)
    for seed in search(arguments.first, arguments.seeds, arguments.processes):
        explain(seed)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
