"""Two sinks of Kafka Connect over one topic: how they are set up, how fast they are, and what they leave in their stores."""

import time
from collections.abc import Iterable
from typing import Any

import msgspec
import redis
from confluent_kafka import Consumer, TopicPartition
from devstack.connect import Connect

from devicesync.database.cassandra.datastax import cluster
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.law.event import decode
from devicesync.law.facets import FIELDS
from devicesync.law.profile import Profile, profile_of
from devicesync.law.state import State, join, state_of

TOPIC = "peers"
_COLUMNS = ("api_last_updated_on", "first_access", "user_declared_on", *FIELDS)
_GIVE_UP_SECONDS = 600
_LOOK_SECONDS = 0.02

Profiles = dict[str, Profile | None]


def configurations(cache_port: int, database_port: int, keyspace: str, partitions: int) -> dict[str, dict[str, str]]:
    """Of each sink, its settings: the sinks' own defaults, but for pipelining in Redis and our consistency level in Cassandra."""
    table = f"topic.{TOPIC}.{keyspace}.device_profile"
    each = {"topics": TOPIC, "tasks.max": str(min(2, partitions))}
    return {
        "redis": {
            **each,
            "connector.class": "com.vinted.kafka.connect.redis.RedisSinkConnector",
            "redis.uri": f"127.0.0.1:{cache_port}",
            "redis.pipelined": "true",
        },
        "cassandra": {
            **each,
            "connector.class": "com.datastax.oss.kafka.sink.CassandraSinkConnector",
            "contactPoints": "127.0.0.1",
            "port": str(database_port),
            "loadBalancing.localDc": "datacenter1",
            "ignoreErrors": "All",  # else the first device_spec in a legacy form ends it
            f"{table}.consistencyLevel": "LOCAL_QUORUM",
            f"{table}.mapping": ", ".join(["device_id=key", *(f"{column}=value.{column}" for column in _COLUMNS)]),
        },
    }


class Pair:
    """The sinks that a worker runs."""

    def __init__(self, worker: Connect, kafka_port: int, sinks: dict[str, dict[str, str]]) -> None:
        self._worker, self._names = worker, list(sinks)
        self._groups = [
            Consumer({"bootstrap.servers": f"127.0.0.1:{kafka_port}", "group.id": f"connect-{name}", "log_level": 2})
            for name in self._names
        ]
        for name, settings in sinks.items():
            worker.ask("connectors", {"name": name, "config": settings}, "POST")

    def work_off(self) -> None:
        """Return when all have committed what the topic has."""
        began = time.perf_counter()
        while not all(map(_is_at_the_end, self._groups)):
            for name in self._names:
                for task in self._worker.ask(f"connectors/{name}/status")["tasks"]:
                    if task["state"] == "FAILED":
                        raise RuntimeError(f"the sink of {name} failed: {task['trace']}")
            if time.perf_counter() - began > _GIVE_UP_SECONDS:
                raise RuntimeError(f"{', '.join(self._names)}: not at the topic's end")
            time.sleep(_LOOK_SECONDS)

    def timed(self, events: int) -> dict[str, float]:
        """The same after `resume`: events a second into every store, and µs of the worker's CPU time per event."""
        wall, cpu = time.perf_counter(), self._worker.cpu_seconds()
        self._all("resume")
        self.work_off()
        wall, cpu = time.perf_counter() - wall, self._worker.cpu_seconds() - cpu
        return {"rate": events / wall, "cpu_us": cpu / events * 1e6}

    def pause(self) -> None:
        """The sinks stay connected and take nothing."""
        self._all("pause")

    def _all(self, what: str) -> None:
        for name in self._names:
            self._worker.ask(f"connectors/{name}/{what}", method="PUT")


def _is_at_the_end(group: Consumer) -> bool:
    partitions = [TopicPartition(TOPIC, number) for number in group.list_topics(TOPIC).topics[TOPIC].partitions]
    return all(at.offset >= group.get_watermark_offsets(at, cached=False)[1] for at in group.committed(partitions))


def by_law(values: Iterable[bytes]) -> Profiles:
    """What both stores ought to hold after these records."""
    states: dict[str, State] = {}
    for value in values:
        event = decode(value, taken_ms=_now_ms())
        state = state_of(event)
        states[event.device_id] = join(states[event.device_id], state) if event.device_id in states else state
    return {device_id: profile_of(state) for device_id, state in states.items()}


def in_redis(port: int) -> Profiles:
    """What the sink left, an event of a device each, read as an event."""
    client: Any = redis.Redis(port=port)
    names = list(client.scan_iter(count=1000))
    values = [value for start in range(0, len(names), 1000) for value in client.mget(names[start : start + 1000])]
    return {name.decode(): _read(value) for name, value in zip(names, values, strict=True)}


def in_cassandra(port: int, keyspace: str) -> Profiles:
    """What the sink left, a row of a device each, read as an event."""
    times = {"api_last_updated_on", "first_access", "user_declared_on"}
    columns = [f"toUnixTimestamp({column})" if column in times else column for column in _COLUMNS]
    found: Profiles = {}
    with cluster(CassandraUrl.parse(f"cassandra://127.0.0.1:{port}/{keyspace}")) as reached:
        for device_id, *row in reached.connect().execute(
            f"SELECT device_id, {', '.join(columns)} FROM {keyspace}.device_profile"
        ):
            event = {
                column: dict(value) if hasattr(value, "items") else value for column, value in zip(_COLUMNS, row, strict=True)
            }
            found[device_id] = _read(msgspec.json.encode({"device_id": device_id, **event}))
    return found


def _read(value: bytes) -> Profile | None:
    return profile_of(state_of(decode(value, taken_ms=_now_ms())))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
