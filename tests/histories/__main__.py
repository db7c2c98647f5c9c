"""Runs random histories on real servers: `python -m tests.histories --steps 100000`."""

import argparse
import re
import sys
import time
from typing import Any

from tests import servers
from tests.histories.history import History, Plan, Turn, draw
from tests.histories.real import RealWorld
from tests.histories.shrink import only, shrunk


def run(world: Any, plan: Plan, seed: int, turns: list[Turn] | None = None) -> Any:
    """Run one history."""
    return History(plan, world.cache, world.database, world).run(seed, turns)


def explain(world: Any, plan: Plan, difference: str) -> str:
    """The shortest history found that shows a difference of the same device."""
    found = re.match(r"device (\d+)", difference)
    if not found:
        return difference

    def fails(smaller: Plan, turns: list[Turn] | None, seed: int) -> list[Turn] | None:
        outcome = run(world, smaller, seed, turns)
        return outcome.turns if outcome.differences else None

    short = shrunk(only(plan, int(found[1])), None, fails)
    if short is None:
        return f"{difference}\n(did not come again alone)"
    outcome = run(world, short[0], 0, short[1])
    events = "\n".join(f"  {event}" for event in short[0].events[0])
    lines = [f"old row: {short[0].old}", f"events:\n{events}", f"jobs: {short[0].jobs}", *outcome.trace, *outcome.differences]
    return "\n".join(lines)


def main() -> int:
    """Run until so many store steps were made; print what differs, shrunk; 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="store calls, counted once for each device [100000]")
    parser.add_argument("--devices", type=int, default=20, help="devices of one history [20]")
    parser.add_argument("--seed", type=int, default=0, help="the first seed [0]")
    parser.add_argument("--cluster", action="store_true", help="Redis as a Cluster of three")
    parser.add_argument("--cassandra", default=servers.CASSANDRA, choices=("5.0", "4.1"), help="its release [5.0]")
    parser.add_argument("--no-old-rows", action="store_true", help="no rows of another job")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first difference, and shrink nothing")
    arguments = parser.parse_args()
    port = servers.redis_cluster().servers[0].port if arguments.cluster else servers.redis().port
    url = f"redis+cluster://127.0.0.1:{port}" if arguments.cluster else f"redis://127.0.0.1:{port}/2"
    world = RealWorld(url, servers.cassandra(arguments.cassandra).port)
    steps, seed, differences, began = 0, arguments.seed, 0, time.monotonic()
    while steps < arguments.steps:
        plan = draw(seed, arguments.devices, old_rows=not arguments.no_old_rows)
        outcome = run(world, plan, seed)
        steps += outcome.steps
        differences += len(outcome.differences)
        for difference in outcome.differences:
            print(f"seed {seed}: {difference}", flush=True)
        if outcome.differences and not arguments.go_on:
            print(explain(world, plan, outcome.differences[0]))
            break
        seed += 1
        if seed % 100 == 0:
            print(f"{seed - arguments.seed} histories, {steps:,} steps, {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(
        f"{seed - arguments.seed} histories, {steps:,} store steps, {differences} differences, {time.monotonic() - began:.0f} s"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
