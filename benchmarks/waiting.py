"""What waiting costs the updater: servers a network away, and freshness. On real Kafka, Redis and Cassandra.

- with 2 ms of round trip added to Redis and Cassandra each, against its own rate without; taken in turn, medians.
- freshness, from the producer's acknowledged send to readable in Redis, with Cassandra in the path: at 1,000 events/s and at
  70 % of the rate that was just measured; at 1,000 events/s of the bare loop too. The devices are known. Producer, probe and
  servers share the cores.

    PYTHONPATH=. python benchmarks/waiting.py [--events 40000] [--devices 20000] [--turns 3]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import redis
from far_away import far_away
from figures import tell
from real_servers import Servers, servers

from devicesync.log.kafka import KafkaLog
from devicesync.simulation import key_of

ROUND_TRIP_MS = 2.0
RATE = 1000
SECONDS = 10
SHARE_OF_TOP = 0.7
TICK_SECONDS = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--devices", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with servers(arguments.devices) as up:
        up.load_both(arguments.devices, arguments.events)
        near, far = distances(up, arguments)
        ratio = median(one / other for one, other in zip(far, near, strict=True))
        more = f"{median(far):,.0f} against {median(near):,.0f} events/s"
        what = f"the updater with {ROUND_TRIP_MS:g} ms of round trip to both stores, against without"
        tell(what, ratio, "×", least=0.9, more=more)
        bare = ages_of(up, arguments.devices, RATE, following)
        ours = ages_of(up, arguments.devices, RATE, Servers.updater)
        tell(f"freshness at {RATE:,} events/s, p50", ours.p50, "ms", most=3, more=f"the bare loop {bare.p50:.1f} ms")
        more = f"the bare loop {bare.p99:.0f} ms; {ours}; the bare loop's {bare}"
        tell(f"freshness at {RATE:,} events/s, p99", ours.p99, "ms", most=20, more=more)
        rate = int(SHARE_OF_TOP * median(near))
        ours = ages_of(up, arguments.devices, rate, Servers.updater)
        tell(f"freshness at {rate:,} events/s, p50", ours.p50, "ms")
        tell(f"freshness at {rate:,} events/s, p99", ours.p99, "ms", most=100, more=str(ours))


def distances(up: Servers, arguments: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Events a second, turn by turn, near and far away."""
    near: list[float] = []
    far: list[float] = []
    with far_away(up.cache.port, ROUND_TRIP_MS) as cache, far_away(up.database.port, ROUND_TRIP_MS) as database:
        for turn in range(arguments.turns):
            for rates, ports in ((near, (up.cache.port, up.database.port)), (far, (cache, database))):
                keyspace = up.empty_stores(f"{'far' if rates is far else 'near'}_{turn}")
                script = str(Path(__file__).parent / "updater.py")
                of_all = map(str, (up.log.port, *ports, keyspace, arguments.devices, arguments.events, "acsylla"))
                found = json.loads(subprocess.check_output([sys.executable, script, *of_all]))
                rates.append(float(found["bench"]["rate"]))
    return near, far


class Ages(NamedTuple):
    """How old probes were when they could be read, in ms."""

    p50: float
    p99: float
    most: float
    probes: int

    def __str__(self) -> str:
        return f"{self.probes} probes, max {self.most:.0f} ms"


def following(up: Servers, name: str) -> list[str]:
    """The bare loop."""
    ports = map(str, (up.log.port, up.cache.port, up.database.port))
    return [str(Path(__file__).parent / "bare.py"), *ports, name, "0", "0", "acsylla", name]


def ages_of(up: Servers, devices: int, rate: int, loop: Callable[[Servers, str], list[str]]) -> Ages:
    name = f"{loop.__name__}{rate}"
    now_ms = time.time_ns() // 1_000_000
    kafka = up.load(name, [up.simulation.record(now_ms, device) for device in range(devices)])
    up.empty_stores(name)
    with Path(tempfile.gettempdir(), f"{name}.err").open("wb") as said:
        updater = subprocess.Popen([sys.executable, *loop(up, name)], stderr=said, env={**os.environ, "DEVICESYNC_GROUP": name})
    reader = redis.Redis(port=up.cache.port, db=2)
    while int(reader.dbsize()) < devices:
        check(updater)
        time.sleep(0.1)
    stop = threading.Event()
    background = threading.Thread(target=traffic, args=(up, kafka, rate, stop))
    background.start()
    time.sleep(6)
    ages = []
    deadline = time.monotonic() + SECONDS
    try:
        while time.monotonic() < deadline:
            ages.append(probe(kafka, reader, updater))
    finally:
        stop.set()
    background.join()
    updater.terminate()
    updater.wait()
    ages.sort()
    return Ages(ages[len(ages) // 2], ages[int(len(ages) * 0.99)], ages[-1], len(ages))


def traffic(up: Servers, kafka: KafkaLog, rate: int, stop: threading.Event) -> None:
    began, sent = time.monotonic(), 0
    while not stop.wait(TICK_SECONDS):
        due = int((time.monotonic() - began) * rate) - sent
        now_ms = time.time_ns() // 1_000_000
        values = [up.simulation.record(now_ms) for _ in range(due)]
        kafka.append(values, [key_of(value) for value in values])
        sent += due


def probe(kafka: KafkaLog, reader: Any, loop: "subprocess.Popen[bytes]") -> float:
    """How long one registration takes, in ms. Raises RuntimeError where the loop has ended."""
    version = time.time_ns() // 1000
    event = {"device_id": "probe", "version": version, "api_last_updated_on": version // 1000, "city": "Pune"}
    kafka.append([msgspec.json.encode(event)], [b"probe"])
    sent = time.perf_counter()
    while True:
        if int(reader.hget("probe", "version") or 0) >= version:
            return (time.perf_counter() - sent) * 1000
        check(loop)
        time.sleep(0.0005)


def check(loop: "subprocess.Popen[bytes]") -> None:
    """Raise RuntimeError where the loop has ended."""
    if loop.poll() is not None:
        raise RuntimeError(f"the loop ended with {loop.returncode}; {tempfile.gettempdir()} has what it said")


if __name__ == "__main__":
    main()
