"""The updater on real Kafka, Redis and Cassandra against a bare loop (bare.py) over the same topic, in one run.

700-byte events over 200,000 devices, a tenth of them of few and busy ones; warm servers. One process each.

- rate: events/s into both stores with each driver, and CPU µs of the process per event. Expect at least 0.8 of the bare
  loop's rate.
- the same of Redis alone; the updater's time split by step (updater.py).
- freshness: from the producer's acknowledged send to readable in Redis, at 1,000 events/s with Cassandra in the path.
- Redis memory per device, before and after hash-max-listpack-value 512.

    PYTHONPATH=. python benchmarks/stack.py [--events 100000]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import redis
from devstack.servers import Cassandra, Kafka, Redis

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import connect
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.simulation import Simulation, key_of

DEVICES = 200_000
BATCH = 1000
PARTITIONS = 6
TURNS = 2
BENCHMARKS = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    cache, log, database = Redis(directory / "redis"), Kafka(directory / "kafka"), Cassandra(directory / "cassandra", heap="3g")
    servers = (cache, log, database)
    try:
        for server in servers:
            server.start()
        Bench(cache, log, database, arguments.events).run()
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory)


class Bench:
    """Servers, and two topics: "warm" has every device once, "bench" what is measured."""

    def __init__(self, cache: Redis, log: Kafka, database: Cassandra, events: int) -> None:
        self.cache, self.log, self.database, self.events = cache, log, database, events
        self.simulation = Simulation(seed=1, devices=DEVICES, bad_share=0)
        self.runs = 0

    def run(self) -> None:
        began_ms = time.time_ns() // 1_000_000 - DEVICES - self.events
        self.load("warm", [self.simulation.record(began_ms + number, number) for number in range(DEVICES)])
        self.load("bench", list(self.simulation.records(self.events, began_ms + DEVICES)))
        for driver in ("acsylla", "cassandra-driver", "none"):
            self.rates(driver)
        freshness(self.load("fresh", []), self.cache, self.flags("fresh", self.empty_stores()), self.simulation)
        memory(self.cache)

    def load(self, topic: str, values: list[bytes]) -> KafkaLog:
        place = KafkaUrl.parse(f"kafka://127.0.0.1:{self.log.port}/{topic}")
        create_topics(place, PARTITIONS)
        kafka = KafkaLog(place, "producer")
        for start in range(0, len(values), BATCH):
            some = values[start : start + BATCH]
            kafka.append(some, [key_of(value) for value in some])
        return kafka

    def rates(self, driver: str) -> None:
        figures: dict[str, list[dict[str, Any]]] = {"bare.py": [], "updater.py": []}
        for _ in range(TURNS):
            for script, of_script in figures.items():
                of_script.append(json.loads(subprocess.check_output(self.child(script, driver))))
        bare, updater = (min(of_script, key=itemgetter("wall")) for of_script in figures.values())
        print(f"{'Redis alone' if driver == 'none' else f'Redis and Cassandra, with {driver}'}, best of {TURNS}:")
        for name, figure in (("bare loop", bare), ("updater", updater)):
            self.print_line(name, figure["cpu"], figure["wall"], f"{self.events / figure['wall']:8,.0f} events/s")
        for step, (cpu, wall) in updater["steps"].items():
            self.print_line(f"  {step}", cpu, wall)
        print(
            f"  {bare['wall'] / updater['wall']:.2f} of the rate, {updater['cpu'] / bare['cpu']:.2f} of the CPU time\n",
            flush=True,
        )

    def print_line(self, name: str, cpu: float, wall: float, more: str = "") -> None:
        cpu_us, wall_us = (seconds / self.events * 1e6 for seconds in (cpu, wall))
        print(f"  {name:<20}{cpu_us:6.1f} µs CPU {wall_us:7.1f} µs by the clock, per event  {more}")

    def child(self, script: str, driver: str) -> list[str]:
        ports = [str(server.port) for server in (self.log, self.cache, self.database)]
        return [sys.executable, str(BENCHMARKS / script), *ports, self.empty_stores(), str(DEVICES), str(self.events), driver]

    def empty_stores(self) -> str:
        """An empty Redis, and a keyspace of its own for each run."""
        self.runs += 1
        redis.Redis(port=self.cache.port).flushall()
        database = CassandraDatabase(CassandraUrl.parse(f"cassandra://127.0.0.1:{self.database.port}/run{self.runs}"))
        database.create()
        database.close()
        return f"run{self.runs}"

    def flags(self, topic: str, keyspace: str) -> list[str]:
        return [
            "--log", f"kafka://127.0.0.1:{self.log.port}/{topic}",
            "--cache", f"redis://127.0.0.1:{self.cache.port}/2",
            "--database", f"cassandra://127.0.0.1:{self.database.port}/{keyspace}",
        ]  # fmt: skip


def freshness(kafka: KafkaLog, cache: Redis, flags: list[str], simulation: Simulation) -> None:
    rate, seconds = 1000, 10
    updater = subprocess.Popen(
        [sys.executable, "-m", "devicesync", "update", *flags],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DEVICESYNC_GROUP": "freshness"},
    )
    reader = RedisCache(connect(f"redis://127.0.0.1:{cache.port}/2"), tombstone_ttl_seconds=0, profile_ttl_seconds=0)
    ages: list[float] = []
    stop = threading.Event()

    def traffic() -> None:
        while not stop.is_set():
            now_ms = time.time_ns() // 1_000_000
            values = [simulation.record(now_ms) for _ in range(rate // 100)]
            kafka.append(values, [key_of(value) for value in values])
            stop.wait(0.01)

    background = threading.Thread(target=traffic)
    background.start()
    time.sleep(6)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        version = time.time_ns() // 1000
        value = msgspec.json.encode({"device_id": "probe", "version": version, "city": "Pune"})
        kafka.append([value], [b"probe"])
        sent = time.perf_counter()
        while True:
            state = reader.read(["probe"]).get("probe")
            if state and state.version >= version:
                break
            time.sleep(0.0005)
        ages.append((time.perf_counter() - sent) * 1000)
    stop.set()
    background.join()
    updater.terminate()
    updater.wait()
    ages.sort()
    print(
        f"freshness at {rate}/s: p50 {ages[len(ages) // 2]:.1f} ms, p99 {ages[int(len(ages) * 0.99)]:.1f} ms,"
        f" max {ages[-1]:.1f} ms over {len(ages)} probes (p50 at most 5, p99 at most 25)\n"
    )


def memory(cache: Redis) -> None:
    client: Any = redis.Redis(port=cache.port, db=2)
    for value_bytes in (64, 512):
        client.config_set("hash-max-listpack-value", value_bytes)
        names = [name for name, _ in zip(client.scan_iter(count=1000), range(1000), strict=False)]
        for name in names:  # written anew, it takes the form that is set now
            fields = client.hgetall(name)
            client.delete(name)
            client.hset(name, mapping=fields)
        used = sum(client.memory_usage(name) for name in names) / len(names)
        print(f"Redis memory per device with hash-max-listpack-value {value_bytes}: {used:,.0f} bytes")


if __name__ == "__main__":
    main()
