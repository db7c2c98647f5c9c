"""Kafka, Redis and Cassandra for a benchmark, and topics of simulated registrations."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import redis
from devstack.servers import Cassandra, Kafka, Redis

from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.simulation import Simulation, key_of

BATCH = 1000
PARTITIONS = 6


class Servers(NamedTuple):
    """They run. `simulation` makes what the topics hold."""

    log: Kafka
    cache: Redis
    database: Cassandra
    simulation: Simulation

    def load(self, topic: str, values: list[bytes]) -> KafkaLog:
        """A topic with these records."""
        place = KafkaUrl.parse(f"kafka://127.0.0.1:{self.log.port}/{topic}")
        create_topics(place, PARTITIONS)
        kafka = KafkaLog(place, "producer")
        append(kafka, values)
        return kafka

    def load_both(self, devices: int, events: int) -> None:
        """The topic "warm" has every device once, "bench" what comes after it."""
        began_ms = time.time_ns() // 1_000_000 - devices - events
        self.load("warm", [self.simulation.record(began_ms + number, number) for number in range(devices)])
        self.load("bench", list(self.simulation.records(events, began_ms + devices)))

    def updater(self, name: str) -> list[str]:
        """What Python is called with for an updater of the topic and the keyspace of that name."""
        flags = [
            "--log", f"kafka://127.0.0.1:{self.log.port}/{name}",
            "--cache", f"redis://127.0.0.1:{self.cache.port}/2",
            "--database", f"cassandra://127.0.0.1:{self.database.port}/{name}",
        ]  # fmt: skip
        return ["-m", "devicesync", "update", *flags]

    def empty_stores(self, keyspace: str) -> str:
        """An empty Redis, and a keyspace of that name."""
        redis.Redis(port=self.cache.port).flushall()
        database = CassandraDatabase(CassandraUrl.parse(f"cassandra://127.0.0.1:{self.database.port}/{keyspace}"))
        database.create()
        database.close()
        return keyspace


def append(kafka: KafkaLog, values: list[bytes]) -> None:
    """Put records into the topic, a thousand at once."""
    for start in range(0, len(values), BATCH):
        some = values[start : start + BATCH]
        kafka.append(some, [key_of(value) for value in some])


@contextmanager
def servers(devices: int) -> Iterator[Servers]:
    """Started, and gone afterwards. The simulation has so many devices."""
    directory = Path(tempfile.mkdtemp())
    cache, log, database = Redis(directory / "redis"), Kafka(directory / "kafka"), Cassandra(directory / "cassandra", heap="3g")
    try:
        for server in (cache, log, database):
            server.start()
        yield Servers(log, cache, database, Simulation(seed=1, devices=devices, bad_share=0))
    finally:
        for server in (cache, log, database):
            server.stop()
        shutil.rmtree(directory)
