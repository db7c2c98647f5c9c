"""Backup and restore of a topic, with the embedded stores: what Kafka alone can bring about."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import OFFSET_END, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.jobs.erase import erase_line
from devicesync.log.full import FullRecord
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics, prepare_for_restore
from tests import servers
from tests.end_to_end.command import Devicesync, stopped, until
from tests.integration import raw_header
from tests.integration.real import commands_over, registration

V = 1_700_000_000_000_000


@pytest.fixture
def topic() -> KafkaUrl:
    """An empty topic of two partitions."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('backup')}")
    create_topics(place, partitions=2)
    return place


@pytest.fixture
def devicesync(tmp_path: Path, topic: KafkaUrl) -> Iterator[Devicesync]:
    """Commands over that topic."""
    yield from commands_over(topic, tmp_path)


def send(topic: KafkaUrl, *values: bytes) -> None:
    """Put records into the topic."""
    KafkaLog(topic, "x").append(values, [b"k"] * len(values))


def rows_in(directory: Path, topic: KafkaUrl) -> list[FullRecord]:
    """Every row of the backup."""
    archive = Archive(Storage(str(directory / "backup")), topic.topic)
    rows: list[FullRecord] = []
    for entry in archive.manifest.entries():
        with archive.fetched(entry, directory) as batches:
            rows += [row for batch in batches for row in batch]
    return rows


def test_a_header_s_name_that_is_not_utf_8_ends_nothing(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """The record is kept, the others' headers too, and it is said what could not be had; `verify --deep` passes by it."""
    for value, header in ((b"a", b"first"), (b"b", b"\xff\xfe"), (b"c", "naïve".encode())):
        raw_header.produce(topic.servers, topic.topic, 0, value, header)
    done = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
    assert (done.returncode, b"not UTF-8" in done.stderr, b'"offset": 1' in done.stderr) == (0, True, True)
    kept = [(row[0], row[3], row[4]) for row in rows_in(devicesync.directory, topic)]
    assert kept == [(0, b"a", [("first", b"1")]), (1, b"b", None), (2, b"c", [("naïve", b"1")])]
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    send(topic, registration("d", V, city="Pune"))
    devicesync.json("backup", "run", "--to", "backup", "--until-caught-up")
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["applied"] == 1


@pytest.mark.parametrize("lack", ["missing", "compacted"])
def test_a_restore_does_not_wait_for_a_topic_that_takes_no_dead_letters(tmp_path: Path, lack: str) -> None:
    """The backup still has the bad records: they are counted, and it is said why they are nowhere else."""
    topic = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('backup')}")
    made = [NewTopic(topic.topic, 1, 1)]
    if lack == "compacted":
        made.append(NewTopic(f"{topic.topic}.failed", 1, 1, config={"cleanup.policy": "compact"}))
    admin = AdminClient(topic.client)
    for future in admin.create_topics(made).values():
        future.result()
    KafkaLog(topic, "x").append([registration("d", V, city="Pune"), b"not JSON"])
    for devicesync in commands_over(topic, tmp_path):
        devicesync.json("backup", "run", "--to", "backup", "--until-caught-up")
        done = devicesync.run("restore", "--from", "backup", "--to-stores", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["applied"], told["dead"]) == (1, 1)
        assert b"not put to the dead letters: " in done.stderr
        assert (b"devicesync init" if lack == "missing" else b"cleanup.policy=delete") in done.stderr


def test_more_partitions_than_descriptors_are_kept(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """Each partition has an open file, and the process may have 150 open: the others are closed first."""
    partitions, records = 300, 5
    place = msgspec.structs.replace(topic, topic=f"{topic.topic}.wide")
    create_topics(place, partitions)
    producer = Producer(place.client)
    for number in range(partitions * records):
        producer.produce(place.topic, b"%d " % number * 2000, partition=number % partitions)
    producer.flush()
    words = f"backup run --to backup --until-caught-up --json --log kafka://{place.servers}/{place.topic}"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -n 150; exec {sys.executable} -m devicesync {words}"],
        cwd=devicesync.directory,
        capture_output=True,
        check=False,
        timeout=200,
    )
    assert (done.returncode, b"can't write" in done.stderr) == (0, False), done.stderr[-2000:]
    assert json.loads(done.stdout)["records"] == partitions * records
    assert len({row[3] for row in rows_in(devicesync.directory, place)}) == partitions * records


DAY_MS = 86_400_000


def test_a_record_from_the_far_future_comes_back_into_a_topic(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """A topic that we make takes it. Another one that refuses it ends the command, and the record is named."""
    source, target, strict = (msgspec.structs.replace(topic, topic=f"{topic.topic}.{name}") for name in ("far", "all", "strict"))
    prepare_for_restore(source, 1, rekey=False)
    far_ms = 1 << 62
    producer = Producer(source.client)
    for stamp_ms in (V // 1000, far_ms, V // 1000):
        producer.produce(source.topic, registration("d", V), partition=0, timestamp=stamp_ms)
    producer.flush()
    (devicesync.directory / "devicesync.toml").write_text(
        f'log = "kafka://{source.servers}/{source.topic}"\ngroup = "{source.topic}"\n'
    )
    devicesync.json("backup", "run", "--to", "backup", "--until-caught-up")
    assert devicesync.json("restore", "--from", "backup", "--to-topic", target.topic)["records"] == 3
    rows = [row for batch in KafkaLog(target, "x").records(0, 0, 3) for row in batch]
    assert [row[1] for row in rows] == [V // 1000, far_ms, V // 1000]
    settings = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "3600000", "retention.ms": "-1"}
    admin = AdminClient(topic.client)
    admin.create_topics([NewTopic(strict.topic, 1, 1, config=settings)])[strict.topic].result(60)
    refused = devicesync.run("restore", "--from", "backup", "--to-topic", strict.topic)
    told = refused.stderr.decode()
    assert (refused.returncode, "offset 1 of partition 0" in told, str(far_ms) in told) == (2, True, True), told
    assert "message.timestamp.after.max.ms" in told


@pytest.mark.parametrize("step", ["claimed", "uploaded", "listed"])
def test_records_of_many_days_killed_at_each_step(devicesync: Devicesync, topic: KafkaUrl, step: str) -> None:
    """To and fro over midnights: a file for each day, each record in one, and a topic that comes back in its order."""
    source, target = (msgspec.structs.replace(topic, topic=f"{topic.topic}.{name}") for name in ("days", "back"))
    prepare_for_restore(source, 2, rekey=False)
    (devicesync.directory / "devicesync.toml").write_text(
        f'log = "kafka://{source.servers}/{source.topic}"\ngroup = "{source.topic}"\n'
    )
    chance = random.Random(step)
    producer = Producer(source.client)
    for number in range(600):
        stamp_ms = V // 1000 + chance.choice([-DAY_MS, 0, DAY_MS])
        producer.produce(source.topic, registration(f"d{number}", V, city="Pune"), partition=number % 2, timestamp=stamp_ms)
    producer.flush()
    devicesync.killed_at(step, 3, "--to", "backup", "--max-file-bytes", "6000")
    devicesync.json("backup", "run", "--to", "backup", "--until-caught-up", "--max-file-bytes", "9000")
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    rows = rows_in(devicesync.directory, source)
    assert (len(rows), len({row[3] for row in rows})) == (600, 600)
    assert len({path.name for path in (devicesync.directory / "backup" / source.topic).iterdir()}) == 3
    assert devicesync.json("restore", "--from", "backup", "--to-topic", target.topic)["records"] == 600
    assert there(target) == there(source)
    refused = devicesync.run("restore", "--from", "backup", "--to-topic", target.topic)
    assert (refused.returncode, b"--append" in refused.stderr) == (2, True)
    devicesync.json("restore", "--from", "backup", "--to-topic", target.topic, "--append")
    assert len(there(target)) == 1200


def test_whoever_was_erased_does_not_come_back_by_a_topic(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """From before a moment, and then the erase after it; what came late, and then the erase of a file that was pruned."""
    source, then, now = (msgspec.structs.replace(topic, topic=f"{topic.topic}.{name}") for name in ("source", "then", "now"))
    prepare_for_restore(source, 1, rekey=False)
    (devicesync.directory / "devicesync.toml").write_text(
        f'log = "kafka://{source.servers}/{source.topic}"\ngroup = "{source.topic}"\n'
    )
    registered, erased, late = registration("é", V), erase_line("é", V + 1), registration("é", V, city="Pune")
    run = ("backup", "run", "--to", "backup", "--until-caught-up")
    producer = Producer(source.client)
    for value, stamp_ms in ((registered, V // 1000), (erased, V // 1000 + 2)):
        producer.produce(source.topic, value, partition=0, timestamp=stamp_ms)
    producer.flush()
    devicesync.json(*run)
    into_topic = ("restore", "--from", "backup", "--to-topic")
    assert devicesync.json(*into_topic, then.topic, "--until", str(V // 1000 + 1))["records"] == 2
    assert [row[3] for row in there(then)] == [registered, erased]
    producer.produce(source.topic, late, partition=0)
    producer.flush()
    devicesync.json(*run)
    assert len(devicesync.json("backup", "prune", "--in", "backup", "--keep-days", "1")["removed"]) == 1
    assert devicesync.json(*into_topic, now.topic, "--dry-run")["records"] == 2
    assert devicesync.json(*into_topic, now.topic)["records"] == 2
    assert [row[2:4] for row in there(now)] == [("é".encode(), erased), (None, late)]


def there(topic: KafkaUrl) -> list[FullRecord]:
    """Every row of a topic, each partition's in its order."""
    log = KafkaLog(topic, "x")
    bounds = log.survey().bounds.items()
    return [(*row[:4], None) for partition, ends in bounds for batch in log.records(partition, *ends) for row in batch]


def test_markers_of_transactions_are_no_missing_records(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """They take an offset each, and `verify` said that so many more records were in no file."""
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    producer.init_transactions(30)
    for commits in (True, False, True):
        producer.begin_transaction()
        producer.produce(topic.topic, registration("d", V), partition=0)
        producer.flush()
        producer.commit_transaction() if commits else producer.abort_transaction()
    assert devicesync.json("backup", "run", "--to", "backup", "--until-caught-up")["records"] == 2
    assert devicesync.json("backup", "verify", "--in", "backup")["behind"] == 0
    send(topic, registration("e", V))
    assert devicesync.json("backup", "verify", "--in", "backup")["behind"] == 1


def test_a_marker_that_a_running_backup_has_read_is_no_loss_once_it_is_gone(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """Retention cuts the topic to its end, while the backup runs and while it is stopped. Records that it has not read are one."""
    place = TopicPartition(topic.topic, 0, OFFSET_END)
    admin, group = AdminClient(topic.client), f"{topic.topic}.backup"
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    producer.init_transactions(30)

    def commits(name: str) -> int:
        """The partition's end, behind the marker."""
        producer.begin_transaction()
        producer.produce(topic.topic, registration(name, V), partition=0)
        producer.commit_transaction(30)
        return KafkaLog(topic, "x").survey().bounds[0][1]

    def claimed() -> int:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic.topic, 0)])
        return int(admin.list_consumer_group_offsets([asked])[group].result(30).topic_partitions[0].offset)

    def cut() -> None:
        admin.delete_records([place])[place].result(30)

    run = ("backup", "run", "--to", "backup")
    running = devicesync.start(*run, "--max-file-seconds", "2")
    for name in ("a", "b", "c"):
        cut()
        end = commits(name)
        until(lambda: claimed() >= end - 1)  # noqa: B023 - used at once
    assert stopped(running) == 0
    assert running.stderr is not None
    assert "gone from the log" not in running.stderr.read()
    cut()
    commits("d")
    assert devicesync.json(*run, "--until-caught-up")["files"] == 1
    assert [row[0] for row in rows_in(devicesync.directory, topic)] == [0, 2, 4, 6]
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["gaps"] == 0
    commits("lost")
    cut()
    commits("e")
    assert b"gone from the log" in devicesync.run(*run, "--until-caught-up").stderr
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert "gap: records 7 to" in problem["problem"]


def test_a_torn_entry_ends_the_backup_by_name(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """Where a partition goes on is not known; it is asked in a callback of Kafka's client, which must not swallow it."""
    send(topic, registration("d", V))
    devicesync.json("backup", "run", "--to", "backup", "--until-caught-up")
    (entry,) = [path for path in (devicesync.directory / "backup" / "_manifest").rglob("*.json") if path.stem.isdigit()]
    entry.write_bytes(b"")
    send(topic, registration("e", V))  # else all is committed, and it may end before it has the partition
    refused = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
    assert (refused.returncode, b"0.json is empty" in refused.stderr, b"Traceback" in refused.stderr) == (1, True, False)
