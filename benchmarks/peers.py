"""Kafka Connect with a sink for Redis and one for Cassandra beside the updater: the same records, servers and run.

Kafka Connect comes from Maven Central, and so does what the sinks need. The sinks themselves are compiled from clones of their
repositories (devstack/connectors.py says which), that --redis and --cassandra name; one may be left out. The devices are known.
One process each. It counts the devices that the sinks' stores hold otherwise than the law has it.

    make bench-peers REDIS_SINK=clone CASSANDRA_SINK=clone
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from connect_sinks import TOPIC, Pair, Profiles, by_law, configurations, in_cassandra, in_redis
from devstack.connect import Connect
from devstack.connectors import SOURCES, sink
from figures import tell
from real_servers import BATCH, PARTITIONS, Servers, servers

from devicesync.simulation import key_of

KEYSPACE = "connect"
NOT_DONE = """\
What the sinks do not do, and the updater does: no law (what the log took last wins, late and repeated records too; in Redis a
whole event takes the place of the one before), no facets, no least first_access, no erase that holds against what comes late,
no legacy forms (by their source), no agreement between the two stores. Their dead letter queue is not set up here."""


def main() -> int:
    parser = argparse.ArgumentParser(
        "make bench-peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in SOURCES:
        parser.add_argument(f"--{name}", type=Path, metavar="CLONE", help=f"a clone of {SOURCES[name]}")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=30_000)
    arguments = parser.parse_args()
    sinks = {name: sink(name, clone) for name in SOURCES if (clone := getattr(arguments, name))}
    for name in SOURCES.keys() - sinks:
        print(f"no sink for {name}: clone {SOURCES[name]}, and say {name.upper()}_SINK=DIRECTORY; goes on without")
    if not sinks:
        return 3
    with servers(arguments.devices) as up:
        began_ms = time.time_ns() // 1_000_000 - arguments.devices - arguments.events
        warm = [up.simulation.record(began_ms + number, number) for number in range(arguments.devices)]
        bench = list(up.simulation.records(arguments.events, began_ms + arguments.devices))
        theirs, held = of_the_pair(up, sinks, warm, bench)
        ours = of_the_updater(up, "acsylla" if "cassandra" in sinks else "none", warm, bench)
        law = by_law([*warm, *bench])
    names = " and ".join(name.capitalize() for name in sinks)
    for who, figures in ((f"Kafka Connect into {names}", theirs), ("the updater in the same run", ours)):
        tell(f"{who}, devices known", figures["rate"], "events/s", more=f"{figures['cpu_us']:.1f} µs of CPU an event")
    for store, profiles in held.items():
        tell(f"devices that {store.capitalize()} holds otherwise than the law", differing(law, profiles), more=f"of {len(law):,}")
    if len(held) > 1:
        tell("devices that the two sinks' stores hold differently", differing(*held.values()), more=f"of {len(law):,}")
    print(NOT_DONE)
    return 0


def of_the_pair(
    up: Servers, sinks: dict[str, Path], warm: list[bytes], bench: list[bytes]
) -> tuple[dict[str, float], dict[str, Profiles]]:
    """How fast, and what each store then holds."""
    up.empty_stores(KEYSPACE)
    settings = configurations(up.cache.port, up.database.port, KEYSPACE, PARTITIONS)
    log = up.load(TOPIC, warm)
    directory = tempfile.TemporaryDirectory()
    worker = Connect(Path(directory.name), up.log.port, sinks)
    worker.start()
    try:
        pair = Pair(worker, up.log.port, {name: settings[name] for name in sinks})
        pair.work_off()
        pair.pause()
        for start in range(0, len(bench), BATCH):
            some = bench[start : start + BATCH]
            log.append(some, [key_of(value) for value in some])
        figures = pair.timed(len(bench))
    finally:
        worker.stop()
        directory.cleanup()
    read = {"redis": lambda: in_redis(up.cache.port), "cassandra": lambda: in_cassandra(up.database.port, KEYSPACE)}
    held = {name: read[name]() for name in sinks}
    for name, profiles in held.items():
        if len(profiles) < len(warm):
            raise SystemExit(
                f"the sink of {name} has written {len(profiles)} of {len(warm)} devices: its figure would mean nothing"
            )
    return figures, held


def of_the_updater(up: Servers, driver: str, warm: list[bytes], bench: list[bytes]) -> dict[str, float]:
    up.load("warm", warm)
    up.load("bench", bench)
    keyspace = up.empty_stores("ours")
    ports = [str(server.port) for server in (up.log, up.cache, up.database)]
    command = [
        sys.executable,
        str(Path(__file__).parent / "updater.py"),
        *ports,
        keyspace,
        str(len(warm)),
        str(len(bench)),
        driver,
    ]
    found: dict[str, float] = json.loads(subprocess.check_output(command))["bench"]
    return found


def differing(one: Profiles, other: Profiles) -> int:
    return sum(one.get(device_id) != other.get(device_id) for device_id in one.keys() | other.keys())


if __name__ == "__main__":
    sys.exit(main())
