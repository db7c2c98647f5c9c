"""A sweep over real Redis and Cassandra against a bare scan of both: one process each, taken in turn; medians.

- bare scan (sweeping.py): every row of the table, page by page, and every hash, found by SCAN; all of it thrown away.
- sweep: the first round of `devicesync audit --sweep`, both directions, over the same devices.
- digests, again: what `devicesync digests make` reads of Cassandra at first, and with `--against` when 100 buckets differ.

Expect at least 0.6 of the bare scan's rate, and as much memory for ten times the devices.

    PYTHONPATH=. python benchmarks/audit.py [--devices 100000] [--turns 3]
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from figures import tell
from real_servers import Servers, servers

from devicesync.assembly.opening import open_cache, open_database
from devicesync.jobs.batch import join_events
from devicesync.law.event import decode
from devicesync.stores import Stores

SWEEPING = Path(__file__).parent / "sweeping.py"
BATCH = 2000
WAYS = ("bare", "sweep", "digests", "again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with servers(arguments.devices) as up:
        load(up, "few", arguments.devices // 10)
        few = swept(up, "few", "sweep")
        load(up, "many", arguments.devices)
        told: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(arguments.turns):
            for way in WAYS:
                told[way].append(swept(up, "many", way))
    figures = {way: {name: median(each[name] for each in of_way) for name in of_way[0]} for way, of_way in told.items()}
    bare, sweep = figures["bare"], figures["sweep"]
    rates = [f"{figure['rate']:,.0f} devices/s, {figure['cpu_us']:.0f} µs of CPU a device" for figure in (sweep, bare)]
    more = "; bare ".join(rates)
    tell("audit --sweep, against a bare scan of both stores", sweep["rate"] / bare["rate"], "×", least=0.6, more=more)
    tell("the same, devices per second of our own CPU time", 1e6 / sweep["cpu_us"], "", least=15_000)
    read, again = (figures[way]["events"] / figures[way]["rate"] for way in ("digests", "again"))
    more = f"{figures['digests']['rate']:,.0f} devices/s, {figures['digests']['cpu_us']:.0f} µs of CPU a device"
    tell("`digests make` of Cassandra, against the sweep's rate", figures["digests"]["rate"] / sweep["rate"], "×", more=more)
    tell("the devices of 100 of its 65,536 buckets read again, against reading all", again / read, "×", more=f"{again:.1f} s")
    what = f"memory of a sweep of {arguments.devices:,} devices, against one of {arguments.devices // 10:,}"
    tell(what, sweep["memory"] / few["memory"], "×", most=1.1, more=f"{sweep['memory']:.0f} MiB")


def load(up: Servers, keyspace: str, devices: int) -> None:
    """So many devices in both stores, emptied before."""
    up.empty_stores(keyspace)
    stores = Stores(
        open_cache(f"redis://127.0.0.1:{up.cache.port}/2"), open_database(f"cassandra://127.0.0.1:{up.database.port}/{keyspace}")
    )
    now_ms = time.time_ns() // 1_000_000
    for start in range(0, devices, BATCH):
        some = range(start, min(start + BATCH, devices))
        stores.write(join_events([decode(up.simulation.record(now_ms, device), taken_ms=now_ms) for device in some]))
    stores.close()


def swept(up: Servers, keyspace: str, way: str) -> dict[str, float]:
    """What one process told."""
    command = [sys.executable, str(SWEEPING), str(up.cache.port), str(up.database.port), keyspace, way]
    told: dict[str, Any] = json.loads(subprocess.check_output(command))
    return told


if __name__ == "__main__":
    main()
