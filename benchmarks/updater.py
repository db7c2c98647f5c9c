"""The updater's own loop in this process, its time per event split by step; `none` leaves Cassandra out.

A step's CPU time is that of the thread that does it. The rest is that of librdkafka, the driver and the loop.
The topic "warm" (DEVICES records) is worked off first, uncounted, so that the devices are known; then "bench" (EVENTS records).

    python benchmarks/updater.py KAFKA_PORT REDIS_PORT CASSANDRA_PORT KEYSPACE DEVICES EVENTS acsylla|cassandra-driver|none
"""

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from clock import Clock

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import connect
from devicesync.cli.process import stop_on_signals
from devicesync.config import Settings
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.port import Stored
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.jobs import batch, update
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.state import State
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl
from devicesync.status.log_lines import log_to_stderr
from devicesync.stores import Stores

spent: dict[str, float] = defaultdict(float)
walls: dict[str, float] = defaultdict(float)


class Nowhere:
    """A database that keeps nothing and knows nothing: for the figure of Redis alone."""

    merges_in_place = False
    threads = 16
    identity = ""

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        return {}

    def look(self, device_ids: Collection[str]) -> Stored:
        return Stored({}, [])

    def settle(self, states: Mapping[str, State]) -> None:
        pass

    def check(self) -> None:
        pass

    def close(self) -> None:
        pass


def timed(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> Any:
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            return call(*arguments, **named)
        finally:
            spent[step] += time.thread_time() - cpu
            walls[step] += time.perf_counter() - wall

    return wrapped


def main() -> None:
    log_port, cache_port, database_port, keyspace, devices, events, driver = sys.argv[1:]
    stop = stop_on_signals()
    log_to_stderr()
    cache: Any = RedisCache(connect(f"redis://127.0.0.1:{cache_port}/2"), tombstone_ttl_seconds=0, profile_ttl_seconds=0)
    place = CassandraUrl.parse(f"cassandra://127.0.0.1:{database_port}/{keyspace}")
    database: Any = Nowhere() if driver == "none" else CassandraDatabase(place, driver)  # type: ignore[arg-type]

    dead_letters = SqliteDeadLetters(Path(tempfile.mkdtemp()) / "dead-letters.db")

    def work_off(topic: str, events: int) -> dict[str, float]:
        reader = KafkaLog(KafkaUrl.parse(f"kafka://127.0.0.1:{log_port}/{topic}"), f"updater.{keyspace}").reader("updater")
        updater = update.Updater(
            reader, Stores(cache, database), dead_letters, source=topic, batch_records=Settings().batch_records,
            refusal_limit=RefusalLimit(1.0, 1000, 0), stop=stop,
        )  # fmt: skip
        left = events
        while left == events:
            left -= len(reader.poll(1, 1))
        clock = Clock()
        clock.start()
        while left > 0:
            left -= updater.step(1)
        figures = clock.stop(events)
        reader.close()
        return figures

    found: dict[str, Any] = {"warm": work_off("warm", int(devices))}
    batch.fold = timed("decode, law", batch.fold)
    for step, of, name in (
        ("Kafka: poll", KafkaReader, "poll"),
        ("stores, with the next four", Stores, "write"),
        ("Redis: look", cache, "look"),
        ("Redis: merge", cache, "merge"),
        ("Cassandra: fill", database, "look"),
        ("Cassandra: write", database, "merge"),
    ):
        setattr(of, name, timed(step, getattr(of, name)))
    found["bench"] = work_off("bench", int(events))
    an_event = 1e6 / int(events)
    print(json.dumps({**found, "steps": {step: (spent[step] * an_event, walls[step] * an_event) for step in spent}}))


if __name__ == "__main__":
    main()
