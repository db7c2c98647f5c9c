"""What an erase leaves behind in Redis, Cassandra, Kafka and a backup: a mark, planted in each value, is looked for everywhere."""

import gzip
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import redis
from cassandra.cluster import Cluster, Session
from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.admin import DEAD_LETTER_SUFFIX
from devicesync.log.kafka.lag import record_count
from tests.end_to_end.command import Devicesync
from tests.integration.real import Real, registration

MARK = "Markedplace"
DAYS_30_MS = 30 * 86_400_000
VALUES: dict[str, Any] = {
    "city": MARK,
    "country": MARK,
    "state_custom": MARK,
    "user_declared_state": MARK,
    "user_declared_district": MARK,
    "fcm_token": f"{MARK}-token",
    "producer_id": MARK,
    "uaspec": {"raw": MARK},
    "device_spec": {MARK: "os"},
}


def in_redis(real: Real) -> list[str]:
    """The keys whose name, whose fields or whose bytes as Redis keeps them have the mark, in every database."""
    found = []
    for number in range(16):
        client: Any = redis.Redis(port=real.redis.port, db=number)
        for key in client.scan_iter(count=1000):
            content = str(client.hgetall(key)).encode() if client.type(key) == b"hash" else client.dump(key)
            found += [key.decode()] if MARK.encode() in key + content else []
        client.close()
    return found


def in_cassandra(session: Session, keyspace: str) -> list[str]:
    """The tables of the keyspace that have the mark in any column of any row."""
    tables = session.execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = %s", (keyspace,))
    names = [row.table_name for row in tables]
    assert set(names) >= {"device_profile", "device_erasure"}
    return [name for name in names if any(MARK in row[0] for row in session.execute(f"SELECT JSON * FROM {keyspace}.{name}"))]


def in_kafka(place: KafkaUrl) -> int:
    """How many records of the topic have the mark, in value, key or headers."""
    consumer = Consumer({**place.client, "group.id": "privacy", "enable.partition.eof": True})
    partitions = [*consumer.list_topics(place.topic, timeout=60).topics[place.topic].partitions]
    consumer.assign([TopicPartition(place.topic, partition, 0) for partition in partitions])
    found = ended = 0
    while ended < len(partitions):
        message = consumer.poll(60)
        assert message is not None
        ended += message.error() is not None
        found += MARK in str((message.value(), message.key(), message.headers()))
    consumer.close()
    return found


def in_files(directory: Path) -> list[str]:
    """The files below, those of a backup read through their compression, that have the mark."""
    return [path.name for path in directory.rglob("*") if path.is_file() and MARK.encode() in _content(path)]


def _content(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return str(pq.read_table(path, partitioning=None).to_pylist()).encode()
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def dead_letters_of(real: Real) -> KafkaUrl:
    return KafkaUrl.parse(f"kafka://{real.topic.servers}/{real.topic.topic}{DEAD_LETTER_SUFFIX}")


def test_after_an_erase_each_place_keeps_what_the_page_says(devicesync: Devicesync, real: Real) -> None:
    """Nothing in Redis and Cassandra; in Kafka and a backup as long as it is kept there, and no longer than their commands allow."""
    now_us = time.time_ns() // 1000
    others = [registration(f"stays-{number}", now_us - number, city="Pune") for number in range(20)]
    tie = [registration("gone", now_us - 9, user_declared_state=value, country=value) for value in (MARK, f"{MARK}2")]
    real.send(*others, *tie, registration("gone", now_us - 5, **VALUES), keyed=True)
    real.send(b'{"device_id":"gone","version":%d,"city":{"a":"%s"}}' % (now_us, MARK.encode()), keyed=False)
    devicesync.json("update", "--until-caught-up")
    devicesync.json("backup", "run", "--until-caught-up", "--to", "backup")
    with Cluster(["127.0.0.1"], port=real.cassandra.port, protocol_version=5) as cluster:
        session = cluster.connect(real.keyspace)
        session.execute("UPDATE device_profile SET total_launches = 7 WHERE device_id = 'gone'")
        assert in_redis(real) == ["gone"]
        assert in_cassandra(session, real.keyspace) == ["device_profile"]
        assert in_files(devicesync.directory / "backup")
        erased = devicesync.json("erase", "gone")["version"]
        assert in_redis(real) == []
        assert in_cassandra(session, real.keyspace) == []
        assert session.execute("SELECT * FROM device_profile WHERE device_id = 'gone'").one() is None
        (ledger,) = session.execute("SELECT version, user_declared_on FROM device_erasure WHERE device_id = 'gone'")
        assert (ledger.version, ledger.user_declared_on) == (erased, None)
    tombstone = _tombstone(real, "gone")
    assert {name for name in tombstone if not name.startswith("_")} == {"version"}
    _look_at_the_backup(devicesync)
    _look_at_the_topics(devicesync, real)
    assert devicesync.json("get", "gone", status=1)["erased"]
    assert devicesync.json("get", "stays-3")["profile"]["city"] == "Pune"


def _tombstone(real: Real, device_id: str) -> dict[str, str]:
    client: Any = redis.Redis(port=real.redis.port, db=2, decode_responses=True)
    assert 0 < client.pttl(device_id) <= DAYS_30_MS
    found: dict[str, str] = client.hgetall(device_id)
    client.close()
    return found


def _look_at_the_backup(devicesync: Devicesync) -> None:
    """The files have the records until they are redacted, the refused one too."""
    devicesync.json("backup", "run", "--until-caught-up", "--to", "backup")
    assert in_files(devicesync.directory / "backup")
    devicesync.json("backup", "redact", "--in", "backup", "--device", "gone")
    assert in_files(devicesync.directory) == []


def _look_at_the_topics(devicesync: Devicesync, real: Real) -> None:
    """The dead letters go by their commands, or with the retention that `init` gave them; the topic's records with its own."""
    failed = dead_letters_of(real)
    assert in_kafka(failed) == 1
    (letter,) = devicesync.json("dead-letters", "list")["dead_letters"]
    assert devicesync.json("dead-letters", "delete", letter["id"])["deleted"] == 1
    assert devicesync.json("dead-letters", "list")["dead_letters"] == []
    devicesync.run("dead-letters", "delete", "--older-than", "0")
    assert in_kafka(failed) == 0
    assert in_kafka(real.topic) > 0
    cut_whole(real.topic)  # as its retention does
    assert (in_kafka(real.topic), record_count(real.topic)) == (0, 0)


def cut_whole(place: KafkaUrl) -> None:
    admin = AdminClient(place.client)
    partitions = admin.list_topics(place.topic, timeout=60).topics[place.topic].partitions
    for cut in admin.delete_records([TopicPartition(place.topic, partition, OFFSET_END) for partition in partitions]).values():
        cut.result(60)
