"""A whole system on real servers: a topic and a keyspace of its own, updaters as processes, and the comparison with the law."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from devstack.servers import Cassandra, Kafka

from devicesync.cache.redis import RedisCache
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience
from devicesync.law.event import Event, decode
from devicesync.law.profile import view
from devicesync.law.refusal import Refused
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.simulation import Simulation, key_of
from tests import loaded, servers
from tests.contract.stores import redis_at
from tests.end_to_end.command import Devicesync, catches, until
from tests.law.specification import specified

PATIENCE_SECONDS = 300.0
SECONDS_OF_LOAD = 6.0


class Real:
    """Starts with empty stores and an empty topic of six partitions."""

    def __init__(self, cache_url: str | None = None, kafka: Kafka | None = None, cassandra: Cassandra | None = None) -> None:
        name = servers.unused_name("real")
        self.redis = servers.redis()
        self.cassandra = cassandra or servers.cassandra()
        self.kafka = kafka or servers.kafka()
        self.topic = KafkaUrl.parse(f"kafka://127.0.0.1:{self.kafka.port}/{name}.events.deviceprofile")
        create_topics(self.topic, partitions=6)
        self.log = KafkaLog(self.topic, group=name)
        self._admin = AdminClient(self.topic.client)
        self.group = name
        self.keyspace = f"{name}_device_db"
        self.cache_url = cache_url or f"redis://127.0.0.1:{self.redis.port}/2"
        self.cache = self.open_cache()
        connections: Any = self.cache._connections
        (connections.client if cache_url is None else connections._cluster).flushall()
        self.database = CassandraDatabase(CassandraUrl.parse(self.database_url))
        self.database.create()
        self.sent: list[bytes] = []
        self._updaters: list[subprocess.Popen[bytes]] = []
        self._started: Counter[str] = Counter()

    @property
    def database_url(self) -> str:
        """The URL of this system's keyspace."""
        return f"cassandra://127.0.0.1:{self.cassandra.port}/{self.keyspace}"

    @property
    def flags(self) -> list[str]:
        """The flags that lead a command to this system."""
        log = f"kafka://{self.topic.servers}/{self.topic.topic}"
        return ["--log", log, "--database", self.database_url, "--cache", self.cache_url]

    def open_cache(self) -> RedisCache:
        """A connection of its own to the cache."""
        return redis_at(self.cache_url)

    def send(self, *values: bytes, keyed: bool = True) -> None:
        """Put records into the topic."""
        self.log.append(values, [key_of(value) for value in values] if keyed else None)
        self.sent += values

    def load(self, count: int = 6000, *, keyed: bool = True, seed: int = 1) -> threading.Thread:
        """Send registrations, erases and bad records for some seconds, in the background."""
        chance = random.Random(seed)
        simulation = Simulation(seed=seed, devices=500, bad_share=0.01)
        began_ms = time.time_ns() // 1_000_000 - count
        records = []
        for number in range(count):
            record = simulation.record(began_ms + number)
            records.append(record)
            if chance.random() < 0.02:
                erase_at = (began_ms + chance.randrange(count)) * 1000 + 500
                records.append(erase(key_of(record).decode() or "nobody", erase_at))
        chance.shuffle(records)

        def work() -> None:
            for start in range(0, len(records), 100):
                self.send(*records[start : start + 100], keyed=keyed)
                time.sleep(SECONDS_OF_LOAD / (len(records) / 100))

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def start_updater(self, group: str | None = None, driver: str = "auto", *, wait: bool = True) -> subprocess.Popen[bytes]:
        """One more updater in the group.

        wait: until it is a member, on a slow machine too. Before, it has not opened its stores, and ends if one of them is away.
        """
        process = loaded.Popen(
            ["devicesync", "update", *self.flags],
            stderr=subprocess.PIPE,
            env={
                "PATH": "",
                "DEVICESYNC_GROUP": group or self.group,
                "DEVICESYNC_BATCH_RECORDS": "300",
                "DEVICESYNC_DRIVER": driver,
            },
        )
        self._updaters.append(process)
        self._started[group or self.group] += 1
        if wait:
            until(lambda: self._members(group or self.group) >= self._started[group or self.group])
        return process

    def _members(self, group: str) -> int:
        (described,) = self._admin.describe_consumer_groups([group]).values()
        with suppress(KafkaException, TimeoutError):  # there is no such group yet
            return len(described.result(10).members)
        return 0

    def stop_updaters(self) -> list[int]:
        """End them with SIGTERM; their exit statuses."""
        for process in self._updaters:
            process.send_signal(signal.SIGCONT)
            until(lambda process=process: process.poll() is not None or catches(process.pid, signal.SIGTERM))  # type: ignore[misc]
            process.terminate()
        statuses = []
        for process in self._updaters:
            process.communicate(timeout=PATIENCE_SECONDS)
            statuses.append(process.returncode)
        self._updaters = []
        self._started.clear()
        return statuses

    def wait_until_caught_up(self, group: str | None = None) -> None:
        """Return when the group has committed everything."""
        watcher = KafkaReader(self.topic, group or self.group)
        deadline = time.monotonic() + PATIENCE_SECONDS
        caught_up = False
        refused: Unavailable | None = None
        while not caught_up:
            assert time.monotonic() < deadline, f"the group did not catch up; {refused}; {self._said()}"
            try:
                caught_up = watcher.caught_up()
            except Unavailable as error:
                refused = error
            time.sleep(0.2)
        watcher.close()

    def _said(self) -> list[bytes | None]:
        """What the updaters have written to stderr until now."""
        said: list[bytes | None] = []
        for process in self._updaters:
            assert process.stderr
            os.set_blocking(process.stderr.fileno(), False)
            said.append(process.stderr.read())
        return said

    def differences(self) -> list[str]:
        """The devices of which the cache or the database says something else than the law."""
        events: dict[str, list[Event]] = defaultdict(list)
        now_ms = time.time_ns() // 1_000_000
        for value in self.sent:
            try:
                event = decode(value, taken_ms=now_ms)
            except Refused:
                continue
            events[event.device_id].append(event)
        patience = Patience(threading.Event())  # after a fault, our own connections too find their way back
        held = patience.until_it_works(lambda: self.open_cache().read([*events]))
        stored = patience.until_it_works(lambda: self.database.read([*events]))
        told = []
        for device_id, of_device in events.items():
            wanted = specified(of_device)
            for where, states in (("cache", held), ("database", stored)):
                if device_id not in states and where == "cache":
                    continue  # forgotten is not wrong: it is filled when it is asked for
                found: dict[str, Any] = view(device_id, states[device_id]) if device_id in states else {}
                if not found.items() >= wanted.items():
                    told.append(f"{where} {device_id}: {found} is not {wanted}")
        return told

    def close(self) -> None:
        """Stop what runs."""
        for process in self._updaters:
            process.kill()
            process.communicate()
        self.database.close()


def finish(real: Real) -> None:
    """Everything is worked off, the updaters leave with 0, and both stores equal the law."""
    real.wait_until_caught_up()
    assert set(real.stop_updaters()) <= {0, -signal.SIGKILL}
    assert real.differences() == []


def commands_over(topic: KafkaUrl, directory: Path) -> Iterator[Devicesync]:
    """Commands whose settings file names this topic, and a group of its name."""
    (directory / "devicesync.toml").write_text(f'log = "kafka://{topic.servers}/{topic.topic}"\ngroup = "{topic.topic}"\n')
    commands = Devicesync(directory)
    yield commands
    commands.stop_all()


def erase(device_id: str, version: int) -> bytes:
    """An erase as a record."""
    return msgspec.json.encode({"device_id": device_id, "erase": True, "version": version})


def registration(device_id: str, version: int, **fields: object) -> bytes:
    """A registration as a record."""
    return msgspec.json.encode({"device_id": device_id, "version": version, **fields})
