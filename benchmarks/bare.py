"""The loop that the updater is measured against, as a process of its own: what any fast job would do, and no more.

Consume, decode with msgspec, fold by arrival; send the rows to Cassandra, ten to an unlogged batch, all at once; run one Redis
script while Cassandra writes, then read and decode the next records; await the rows, commit. One thread, acsylla.
No guard, no versions, no facets, no look before a write, no fill, no dead letters. The consistency level is ours.
The topic "warm" (DEVICES records) is worked off first, which is a first load; then "bench" (EVENTS records). With a TOPIC it
follows that one instead, until it is killed.

    python benchmarks/bare.py KAFKA_PORT REDIS_PORT CASSANDRA_PORT KEYSPACE DEVICES EVENTS acsylla|none [TOPIC]
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import acsylla
import msgspec
import redis
from clock import Clock
from confluent_kafka import Consumer, Message

from devicesync.law.facets import FIELDS, MAP_FIELDS

BATCH = 2000
ROWS_A_REQUEST = 10
_FOR_EVER = 1 << 60
SCRIPT = "for spot, key in ipairs(KEYS) do redis.call('HSET', key, unpack(cmsgpack.unpack(ARGV[spot]))) end"
Figures = dict[str, dict[str, float]]
Folded = dict[str, dict[str, Any]]
Begin = Callable[[Folded], Sequence[Awaitable[Any]]]


def main() -> None:
    log_port, cache_port, database_port, keyspace, devices, events, driver, *followed = sys.argv[1:]
    topics = [(topic, _FOR_EVER) for topic in followed] or [("warm", int(devices)), ("bench", int(events))]
    client = redis.Redis(port=int(cache_port), db=2)

    async def both() -> Figures:
        begin: Begin = await cassandra(int(database_port), keyspace) if driver == "acsylla" else lambda rows: []
        return {topic: await loop(consumer(log_port, topic, keyspace), client, begin, count) for topic, count in topics}

    print(json.dumps(asyncio.run(both())))


async def loop(consumer: Consumer, client: Any, begin: Begin, events: int) -> dict[str, float]:
    script = client.script_load(SCRIPT)
    pack = msgspec.msgpack.Encoder().encode
    clock = Clock()
    done, folded = 0, fold(first(consumer))
    clock.start()
    while folded[0]:
        done += folded[1]
        under_way = begin(folded[0])
        await asyncio.sleep(0)
        packed = [pack([part for field in event.items() for part in texts(*field)]) for event in folded[0].values()]
        client.evalsha(script, len(packed), *folded[0], *packed)
        passed = consumer.position(consumer.assignment())
        folded = fold(taken(consumer, 0.1 if done < events else 0))
        await settled(under_way)
        consumer.commit(offsets=[place for place in passed if place.offset >= 0], asynchronous=False)
        while not folded[0] and done < events:
            folded = fold(taken(consumer, 0.1))
    figures = clock.stop(done)
    consumer.close()
    return figures


async def settled(under_way: Iterable[Awaitable[Any]]) -> None:
    for future in under_way:
        await future


def fold(messages: list[Message]) -> tuple[Folded, int]:
    return {event["device_id"]: event for event in (decode(message.value() or b"") for message in messages)}, len(messages)


decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def texts(field: str, value: Any) -> tuple[str, Any]:
    return field, value if type(value) is str else encode(value).decode()


def first(consumer: Consumer) -> list[Message]:
    while not (messages := taken(consumer, 1)):
        pass
    return messages


def taken(consumer: Consumer, seconds: float) -> list[Message]:
    """What is there, as soon as there is any."""
    messages = consumer.consume(1, seconds)
    return messages and messages + consumer.consume(BATCH - 1, 0)


def consumer(port: str, topic: str, group: str) -> Consumer:
    made = Consumer(
        {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "group.id": f"bare.{group}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
            "log_level": 2,
        }
    )
    made.subscribe([topic])
    return made


async def cassandra(port: int, keyspace: str) -> Begin:
    session = await acsylla.create_cluster(
        ["127.0.0.1"], port=port, consistency=acsylla.Consistency.LOCAL_QUORUM, coalesce_delay_us=1000, log_level="critical"
    ).create_session()
    prepared = await session.create_prepared(insert(keyspace))

    def begin(folded: Folded) -> Sequence[Awaitable[Any]]:
        rest = iter(folded.items())
        under_way = []
        while some := list(islice(rest, ROWS_A_REQUEST)):
            batch = acsylla.create_batch_unlogged()
            for name, event in some:
                batch.add_statement(prepared.bind([*row(name, event)]))
            under_way.append(asyncio.ensure_future(written(batch)))
        return under_way

    async def written(batch: Any) -> None:
        try:
            await session.execute_batch(batch)
        except acsylla.errors.CassException:  # a shared machine may be slow for seconds
            await written(batch)

    return begin


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


if __name__ == "__main__":
    main()
