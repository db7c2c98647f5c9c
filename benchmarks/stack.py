"""The updater on real Kafka, Redis and Cassandra against a bare loop over the same topic, in one run.

The bare loop consumes, decodes with msgspec, folds by arrival, writes one Redis script per batch without facets or guard,
and prepared inserts with the same driver: no versions, no fill, no dead letters. 700-byte events, 20,000 devices, warm
servers. Expect at least 0.8 of its rate.

- rate: events/s into both stores, and CPU µs of the updater's process per event.
- freshness: from the producer's acknowledged send to readable in Redis, at 1,000 events/s with Cassandra in the path.
- Redis memory per device, before and after hash-max-listpack-value 512.

    python benchmarks/stack.py [--events 100000]
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import redis
from cassandra.concurrent import execute_concurrent
from confluent_kafka import Consumer
from devstack.servers import Cassandra, Kafka, Redis

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import connect
from devicesync.database.cassandra import CassandraDatabase, _cluster
from devicesync.database.cassandra import place_of as cassandra_place_of
from devicesync.database.cassandra_schema import WRITTEN_COLUMNS
from devicesync.jobs.simulate import Simulation, key_of
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.log.kafka import KafkaLog, place_of
from devicesync.log.kafka_admin import create_topics

DEVICES = 20_000
BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    servers: list[Any] = [Redis(directory / "redis"), Kafka(directory / "kafka"), Cassandra(directory / "cassandra", heap="2g")]
    try:
        for server in servers:
            server.start()
        redis_server, kafka, cassandra = servers
        run(redis_server, kafka, cassandra, arguments.events)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory)


def run(cache: Redis, log: Kafka, database: Cassandra, events: int) -> None:
    topic = place_of(f"kafka://127.0.0.1:{log.port}/bench")
    create_topics(topic, 6)
    kafka = KafkaLog(topic, "producer")
    now_ms = time.time_ns() // 1_000_000
    simulation = Simulation(seed=1, devices=DEVICES, bad_share=0)
    for start in range(0, events, BATCH):
        values = [simulation.record(now_ms - events + start + spot) for spot in range(BATCH)]
        kafka.append(values, [key_of(value) for value in values])
    flags = ["--log", f"kafka://127.0.0.1:{log.port}/bench", "--cache", f"redis://127.0.0.1:{cache.port}/2"]
    bare_flags = [str(log.port), str(cache.port), str(database.port), str(events)]
    figures: dict[str, list[tuple[float, float]]] = {"bare": [], "updater": []}
    for turn in range(3):
        for kind, of_kind in figures.items():
            keyspace = f"{kind}{turn}"
            CassandraDatabase(cassandra_place_of(f"cassandra://127.0.0.1:{database.port}/{keyspace}")).create()
            redis.Redis(port=cache.port).flushall()
            if kind == "bare":
                command = [sys.executable, __file__, "--bare", keyspace, *bare_flags]
                idle = [*command[:-1], "0"]
            else:
                where = f"cassandra://127.0.0.1:{database.port}/{keyspace}"
                command = [sys.executable, "-m", "devicesync", "update", "--until-caught-up", *flags, "--database", where]
                idle = command
            of_kind.append(measured(command, idle, keyspace))
    for kind, of_kind in figures.items():
        seconds, cpu = min(of_kind)
        print(f"{kind:<8} {events / seconds:8,.0f} events/s   {cpu / events * 1e6:6.1f} µs CPU per event   (best of 3)")
    print(f"ratio    {min(figures['bare'])[0] / min(figures['updater'])[0]:8.2f} (at least 0.8)\n")
    freshness(kafka, cache, [*flags, "--database", f"cassandra://127.0.0.1:{database.port}/updater2"], simulation)
    memory(cache)


def measured(command: list[str], idle: list[str], group: str) -> tuple[float, float]:
    """Seconds and CPU seconds of a child process, less those of one with nothing to do: start-up, joining, leaving."""
    figures = []
    for words in (command, idle):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, check=True, capture_output=True, env={**os.environ, "DEVICESYNC_GROUP": group})
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        figures.append((time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return figures[0][0] - figures[1][0], figures[0][1] - figures[1][1]


def freshness(kafka: KafkaLog, cache: Redis, flags: list[str], simulation: Simulation) -> None:
    rate, seconds = 1000, 10
    updater = subprocess.Popen(
        [sys.executable, "-m", "devicesync", "update", *flags],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DEVICESYNC_GROUP": "updater2"},
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


SCRIPT = """
for spot, key in ipairs(KEYS) do redis.call('HSET', key, unpack(cmsgpack.unpack(ARGV[spot]))) end
"""


def bare(keyspace: str, log_port: int, cache_port: int, database_port: int, events: int) -> None:
    """The loop that the updater is measured against: `events` records, or with 0 just joining the group and leaving."""
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{log_port}",
            "group.id": keyspace,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
    )
    consumer.subscribe(["bench"])
    client = redis.Redis(port=cache_port, db=2)
    script = client.script_load(SCRIPT)
    session = _cluster(cassandra_place_of(f"cassandra://127.0.0.1:{database_port}/{keyspace}")).connect(keyspace)
    insert = session.prepare(
        f"INSERT INTO device_profile ({', '.join(WRITTEN_COLUMNS)}) VALUES ({', '.join('?' * len(WRITTEN_COLUMNS))})"
    )
    decode = msgspec.json.Decoder().decode
    done = 0
    while done < events or not consumer.assignment():
        messages = consumer.consume(BATCH, 0.1)
        if not messages:
            continue
        done += len(messages)
        folded = {event["device_id"]: event for event in (decode(message.value() or b"") for message in messages)}
        packed = [
            msgspec.msgpack.encode(
                [
                    part
                    for field, value in event.items()
                    for part in (field, value if type(value) is str else msgspec.json.encode(value).decode())
                ]
            )
            for event in folded.values()
        ]
        client.evalsha(script, len(folded), *folded, *packed)
        rows = []
        for name, event in folded.items():
            values = [event.get(field) for field in FIELDS]
            for spot, field in enumerate(FIELDS):
                if field in MAP_FIELDS and not isinstance(values[spot], dict):
                    values[spot] = None
                elif field not in MAP_FIELDS and values[spot] is not None:
                    values[spot] = str(values[spot])
            rows.append((insert, (name, event["api_last_updated_on"], event["api_last_updated_on"], *values)))
        execute_concurrent(session, rows, concurrency=256)
        consumer.commit(asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        bare(sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
