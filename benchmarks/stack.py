"""The updater on real Kafka, Redis and Cassandra against a bare overlapped loop (bare.py) over the same topics, in one run.

Events of 690 bytes, a tenth of them of few and busy devices. One process each, taken in turn; medians.

- first load: no device is known. Then devices are known: events a second, and CPU time of the process per event.
- the same of Redis alone.
- the updater's time split by step (updater.py).
- Redis memory per device, before and after hash-max-listpack-value 512.

    PYTHONPATH=. python benchmarks/stack.py [--events 60000] [--devices 30000] [--turns 5]
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import redis
from figures import tell
from real_servers import Servers, servers

SCRIPTS = ("bare.py", "updater.py")
BENCHMARKS = Path(__file__).parent
Outcome = dict[str, dict[str, Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=30_000)
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    with servers(arguments.devices) as up:
        up.load_both(arguments.devices, arguments.events)
        bare, ours = in_turn(up, arguments, "acsylla")
        known, first = ratio(bare, ours, "bench", "rate"), ratio(bare, ours, "warm", "rate")
        tell(
            "both stores, acsylla, devices known, against the bare loop's rate", known, "×", least=0.85, more=rates(ours, "bench")
        )
        tell("the same, CPU time per event", ratio(bare, ours, "bench", "cpu_us"), "×", most=1.5, more=cpu(ours, "bench"))
        tell("the same, first load", first, "×", least=0.6, more=rates(ours, "warm"))
        more = f"{cpu(ours, 'warm')} against {cpu(ours, 'bench')}"
        tell("an unknown device's event against a known one's, CPU time", of_new(ours), "×", most=1.3, more=more)
        show("Redis and Cassandra, with acsylla", bare, ours, arguments.turns)
        bare, ours = in_turn(up, arguments, "none")
        tell(
            "Redis alone, against the bare loop's rate",
            ratio(bare, ours, "bench", "rate"),
            "×",
            least=0.7,
            more=rates(ours, "bench"),
        )
        show("Redis alone", bare, ours, arguments.turns)
        memory(up.cache.port)


def in_turn(up: Servers, arguments: argparse.Namespace, driver: str) -> list[list[Outcome]]:
    """What each of the two scripts told, turn by turn."""
    outcomes: list[list[Outcome]] = [[] for _ in SCRIPTS]
    for turn in range(arguments.turns):
        for of_script, script in zip(outcomes, SCRIPTS, strict=True):
            keyspace = up.empty_stores(f"{driver}_{script.removesuffix('.py')}_{turn}")
            ports = [str(server.port) for server in (up.log, up.cache, up.database)]
            command = [sys.executable, str(BENCHMARKS / script), *ports, keyspace, str(arguments.devices), str(arguments.events)]
            of_script.append(json.loads(subprocess.check_output([*command, driver])))
    return outcomes


def ratio(bare: list[Outcome], ours: list[Outcome], topic: str, figure: str) -> float:
    """The median of ours over the bare loop's of the same turn: what others do on the machine then counts for both."""
    return float(median(mine[topic][figure] / its[topic][figure] for its, mine in zip(bare, ours, strict=True)))


def of_new(ours: list[Outcome]) -> float:
    return float(median(mine["warm"]["cpu_us"] / mine["bench"]["cpu_us"] for mine in ours))


def rates(ours: list[Outcome], topic: str) -> str:
    return f"{median(mine[topic]['rate'] for mine in ours):,.0f} events/s"


def cpu(ours: list[Outcome], topic: str) -> str:
    return f"{median(mine[topic]['cpu_us'] for mine in ours):.1f} µs"


def show(title: str, bare: list[Outcome], ours: list[Outcome], turns: int) -> None:
    print(f"{title}, medians of {turns}:")
    for name, outcomes in (("bare loop", bare), ("updater", ours)):
        for topic, what in (("warm", "first load"), ("bench", "devices known")):
            print(f"  {name:<10}{what:<15}{rates(outcomes, topic):>17} at {cpu(outcomes, topic)} of CPU an event")
    print("  of the updater's, by step, µs of CPU and by the clock an event, of the threads together:")
    for step in ours[0]["steps"]:
        spent, wall = (median(mine["steps"][step][spot] for mine in ours) for spot in (0, 1))
        print(f"    {step:<28}{spent:6.1f}{wall:8.1f}")
    print(flush=True)


def memory(port: int) -> None:
    client: Any = redis.Redis(port=port, db=2)
    used = {}
    for value_bytes in (64, 512):
        client.config_set("hash-max-listpack-value", value_bytes)
        names = [name for name, _ in zip(client.scan_iter(count=1000), range(1000), strict=False)]
        for name in names:  # written anew, it takes the form that is set now
            fields = client.hgetall(name)
            client.delete(name)
            client.hset(name, mapping=fields)
        used[value_bytes] = sum(client.memory_usage(name) for name in names) / len(names)
    more = f"{used[64]:,.0f} as Redis comes"
    tell("Redis memory per device with `hash-max-listpack-value 512`", round(used[512]), "bytes", more=more)


if __name__ == "__main__":
    main()
