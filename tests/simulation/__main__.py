"""Runs seeds: `python -m tests.simulation --seeds 10000`, or one: `--seed 4711`, with its trace."""

import argparse
import os
import sys

import structlog

from tests.simulation import embedded
from tests.simulation.history import run
from tests.simulation.search import DRAWS, quiet, search
from tests.simulation.shrink import pasted, shrunk


def explain(seed: int, about: str) -> None:
    """Print what a seed shows: what is wrong, and the shortest history that shows it."""
    if about == "embedded":
        told = embedded.run(seed)
        print(*told.trace, *told.wrong, sep="\n")
        return
    plan = DRAWS[about](seed)
    outcome = run(plan, seed)
    if not outcome.wrong:
        print(*outcome.trace, sep="\n")
        return
    print(f"seed {seed}: {outcome.wrong[0]}", flush=True)
    plan, turns = shrunk(plan, outcome.turns)
    outcome = run(plan, 0, turns)
    print(pasted(plan, turns), *outcome.trace, *outcome.wrong, sep="\n")


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
    parser.add_argument(
        "--backup", dest="about", action="store_const", const="backup", default="all", help="histories of backups"
    )
    parser.add_argument(
        "--embedded", dest="about", action="store_const", const="embedded", help="histories of one machine: journal and SQLite"
    )
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=quiet)
    if arguments.seed is not None:
        explain(arguments.seed, arguments.about)
        return 0
    if arguments.real:
        return compare(arguments.first, arguments.seeds)
    for seed in search(arguments.first, arguments.seeds, arguments.processes, arguments.about):
        explain(seed, arguments.about)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
