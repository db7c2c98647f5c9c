"""The loop that the updater is measured against, as a process of its own: what any job must do, and no more.

Consume, decode with msgspec, fold by arrival, one Redis script per batch without facets, prepared inserts of the same
columns with the same driver. No guard, no versions, no fill, no dead letters.
The topic "warm" (DEVICES records) is worked off first, uncounted; then "bench" (EVENTS records).

    python benchmarks/bare.py KAFKA_PORT REDIS_PORT CASSANDRA_PORT KEYSPACE DEVICES EVENTS acsylla|cassandra-driver|none
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import acsylla
import msgspec
import redis
from cassandra.concurrent import execute_concurrent
from confluent_kafka import Consumer

from devicesync.database.cassandra import CassandraUrl
from devicesync.database.cassandra.datastax import cluster
from devicesync.database.cassandra.driver import IN_FLIGHT
from devicesync.law.facets import FIELDS, MAP_FIELDS

BATCH = 2000
SCRIPT = "for spot, key in ipairs(KEYS) do redis.call('HSET', key, unpack(cmsgpack.unpack(ARGV[spot]))) end"
Rows = list[list[Any]]
Write = Callable[[Rows], object]


def main() -> None:
    log_port, cache_port, database_port, keyspace, devices, events, driver = sys.argv[1:]
    makers = {"acsylla": with_acsylla, "cassandra-driver": with_datastax, "none": lambda *_: lambda rows: None}
    write = makers[driver](int(database_port), keyspace)
    loop((log_port, int(cache_port)), "warm", keyspace, int(devices), write)
    wall, cpu = loop((log_port, int(cache_port)), "bench", keyspace, int(events), write)
    print(json.dumps({"wall": wall, "cpu": cpu}))


def loop(ports: tuple[str, int], topic: str, group: str, events: int, write: Write) -> tuple[float, float]:
    """Seconds and CPU seconds from the first records on."""
    log_port, cache_port = ports
    consumer = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{log_port}",
            "group.id": f"bare.{group}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
    )
    consumer.subscribe([topic])
    client = redis.Redis(port=cache_port, db=2)
    script = client.script_load(SCRIPT)
    decode = msgspec.json.Decoder().decode
    pack = msgspec.msgpack.Encoder().encode
    encode = msgspec.json.Encoder().encode
    done = 0
    wall, cpu = 0.0, 0.0
    while done < events:
        messages = consumer.consume(BATCH, 0.1)
        if not messages:
            continue
        if not done:
            wall, cpu = time.perf_counter(), time.process_time()
        done += len(messages)
        folded = {event["device_id"]: event for event in (decode(message.value() or b"") for message in messages)}
        packed = [
            pack(
                [
                    part
                    for field, value in event.items()
                    for part in (field, value if type(value) is str else encode(value).decode())
                ]
            )
            for event in folded.values()
        ]
        client.evalsha(script, len(folded), *folded, *packed)
        write([list(row(name, event)) for name, event in folded.items()])
        consumer.commit(asynchronous=False)
    figures = time.perf_counter() - wall, time.process_time() - cpu
    consumer.close()
    return figures


def row(name: str, event: dict[str, Any]) -> Iterator[Any]:
    yield name
    yield event["api_last_updated_on"]
    yield event["api_last_updated_on"]
    for field in FIELDS:
        value = event.get(field)
        if field in MAP_FIELDS:
            yield value if isinstance(value, dict) else None
        else:
            yield value if value is None or type(value) is str else str(value)


def insert(keyspace: str) -> str:
    columns = ", ".join(("device_id", "api_last_updated_on", "updated_date", *FIELDS))
    ms = "blobAsTimestamp(bigintAsBlob(?))"
    return f"INSERT INTO {keyspace}.device_profile ({columns}) VALUES (?, {ms}, {ms}, {', '.join('?' * len(FIELDS))})"


def with_datastax(port: int, keyspace: str) -> Write:
    session = cluster(CassandraUrl.parse(f"cassandra://127.0.0.1:{port}/{keyspace}")).connect()
    prepared = session.prepare(insert(keyspace))
    return lambda rows: execute_concurrent(session, [(prepared, values) for values in rows], concurrency=IN_FLIGHT)


def with_acsylla(port: int, keyspace: str) -> Write:
    events = asyncio.new_event_loop()

    async def connect() -> tuple[Any, Any]:
        session = await acsylla.create_cluster(
            ["127.0.0.1"], port=port, consistency=acsylla.Consistency.LOCAL_QUORUM, coalesce_delay_us=1000, log_level="critical"
        ).create_session()
        return session, await session.create_prepared(insert(keyspace))

    session, prepared = events.run_until_complete(connect())

    async def work(rest: Iterator[list[Any]]) -> None:
        for values in rest:
            await session.execute(prepared.bind(values))

    async def everything(rows: Rows) -> None:
        rest = iter(rows)
        await asyncio.gather(*[work(rest) for _ in range(IN_FLIGHT)])

    return lambda rows: events.run_until_complete(everything(rows))


if __name__ == "__main__":
    main()
