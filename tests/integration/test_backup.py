"""Backup and restore on real servers: the drill, and the faults of a backup that many processes share."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from devstack.server import free_ports

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.assembly.restore import topic as into_topic
from devicesync.assembly.restore.run import Request
from devicesync.assembly.watcher import Unwatched
from devicesync.config import Settings
from devicesync.errors import Replaced
from devicesync.jobs.restore.selection import Selection
from devicesync.log.full import DELETED, FullRecord
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.identity import identity_of
from devicesync.simulation import Simulation, key_of
from tests.archive.test_generations import begun_at_once
from tests.end_to_end.command import Devicesync, stopped, until
from tests.end_to_end.test_backup import KILLED_WHEN_DONE, RESTORE, STEPS
from tests.integration.real import Real, erase, registration

V = 1_700_000_000_000_000


def archive_of(devicesync: Devicesync, real: Real, url: str = "backup") -> Archive:
    """The topic's backup."""
    return Archive(Storage(url if "://" in url else str(devicesync.directory / url)), real.topic.topic)


def rows_of(archive: Archive, spool: Path) -> Iterator[tuple[int, int, FullRecord]]:
    """Generation, partition and row of every record in every file."""
    for entry in archive.manifest.entries():
        with archive.fetched(entry, spool) as batches:
            for batch in batches:
                yield from ((entry.generation, entry.partition, row) for row in batch)


def check_exactly_once(devicesync: Devicesync, real: Real, url: str = "backup") -> None:
    """Every record of the topic in exactly one file, byte for byte; asked of the topic itself."""
    kept = list(rows_of(archive_of(devicesync, real, url), devicesync.directory))
    assert max(Counter((generation, partition, row[0]) for generation, partition, row in kept).values()) == 1
    there: list[Any] = []
    for partition, (first, end) in real.log.survey().bounds.items():
        there += [(partition, row) for batch in real.log.records(partition, first, end) for row in batch]
    newest = max(generation for generation, _, _ in kept)
    assert sorted((partition, row) for generation, partition, row in kept if generation == newest) == sorted(there)


def empty_stores(real: Real) -> None:
    """Lose all that both stores know, the erasures too."""
    real.cache._connections.client.flushall()  # type: ignore[attr-defined]
    truncate(real, "device_profile", "device_erasure")


def truncate(real: Real, *tables: str) -> None:
    """Empty tables."""
    from cassandra.cluster import Cluster  # noqa: PLC0415

    with Cluster(["127.0.0.1"], port=real.cassandra.port) as cluster:
        for table in tables:
            cluster.connect().execute(f"TRUNCATE {real.keyspace}.{table}")


def back_up(devicesync: Devicesync, *more: str, to: str = "backup") -> Any:
    """One run to the end."""
    return devicesync.json("backup", "run", "--to", to, "--until-caught-up", *more)


def test_the_restore_drill(devicesync: Devicesync, real: Real) -> None:
    """Load, back up, destroy both stores, restore, compare every device; then the same while registrations keep arriving."""
    real.load(count=3000).join()
    real.start_updater()
    real.wait_until_caught_up()
    assert back_up(devicesync, "--max-file-bytes", "300000")["records"] == len(real.sent)
    empty_stores(real)
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert (done["records"], done["applied"] + done["dead"]) == (len(real.sent), len(real.sent))
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    assert real.differences() == []
    names = real.cache._connections.client.keys()  # type: ignore[attr-defined]
    assert len(real.cache.read(names)) == done["devices"]
    empty_stores(real)
    loading = real.load(count=3000, seed=2)
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    loading.join()
    real.wait_until_caught_up()
    assert real.differences() == []


def test_nothing_newer_is_overwritten_and_the_erased_stay_erased(devicesync: Devicesync, real: Real) -> None:
    """The backup ends before both; the cache and the table are lost, the ledger of erasures is not."""
    real.send(registration("newer", V, city="old"), registration("erased", V, city="Pune"))
    back_up(devicesync)
    real.send(registration("newer", V + 1, city="new"), erase("erased", V + 1))
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert done["proof"]["database_differs"] == 0
    assert real.differences() == []
    real.cache._connections.client.flushall()  # type: ignore[attr-defined]
    truncate(real, "device_profile")
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    assert devicesync.json("get", "erased", status=1)["erased"]
    assert devicesync.json("get", "newer")["profile"]["city"] == "old"


def test_stores_that_are_emptied_while_a_restore_is_interrupted_get_all(devicesync: Devicesync, real: Real) -> None:
    """Nothing tells that they were: it said "equal in both stores", and the devices of four buckets were in neither."""
    real.load(count=1500).join()
    back_up(devicesync)
    empty_stores(real)
    assert devicesync.run_by(KILLED_WHEN_DONE, "settle_bucket", "4", *RESTORE).returncode == -signal.SIGKILL
    empty_stores(real)
    proof = devicesync.json(*RESTORE)["proof"]
    assert (proof["cache_differs"], proof["database_differs"]) == (0, 0)
    there = [device_id for number in range(real.database.ranges) for ids in real.database.scan(number) for device_id in ids]
    assert (len({*there}), real.differences()) == (proof["devices"], [])


def test_a_topic_comes_back_whole(devicesync: Devicesync, real: Real) -> None:
    """Bytes, keys, headers, times, partitions; tombstones and bad records too; or partitioned by key."""
    producer = Producer(real.topic.client)
    for number in range(200):
        headers: Any = [("trace", b"%d" % number), ("trace", None)] if number % 3 else None
        value = None if number % 7 == 0 else b"[]" if number % 5 == 0 else registration(f"d{number}", V, city="Pune")
        producer.produce(real.topic.topic, value, b"d%d" % number, headers=headers, partition=number % 6)
    producer.flush()
    back_up(devicesync, "--max-file-bytes", "3000")
    name = f"{real.topic.topic}.restored"
    refused = devicesync.run("restore", "--from", "backup", "--to-topic", real.topic.topic)
    assert (refused.returncode, b"CreateTime" in refused.stderr) == (2, True)
    assert devicesync.json("restore", "--from", "backup", "--to-topic", name)["records"] == 200
    assert records_of(real, name) == records_of(real, real.topic.topic)
    assert devicesync.json("restore", "--from", "backup", "--to-topic", f"{name}.2", "--rekey")["records"] == 200
    rekeyed = records_of(real, f"{name}.2")
    assert sorted(row[1:] for rows in rekeyed.values() for row in rows) == sorted(
        row[1:] for rows in records_of(real, real.topic.topic).values() for row in rows
    )


def test_a_restore_into_a_topic_goes_on_where_it_was_killed(devicesync: Devicesync, real: Real) -> None:
    """It was refused, since the topic had records already."""
    real.load(count=300).join()
    back_up(devicesync, "--max-file-bytes", "3000")
    restore = ("restore", "--from", "backup", "--to-topic", f"{real.topic.topic}.restored", "--workers", "1")
    killed = devicesync.run_by(KILLED_WHEN_DONE, "_put", "3", *restore)
    assert killed.returncode == -signal.SIGKILL
    done = devicesync.run(*restore, "--json")
    assert (done.returncode, b"going on: 3 of" in done.stderr) == (0, True), done.stderr
    assert json.loads(done.stdout)["records"] == len(real.sent)
    there = [row[3] for rows in records_of(real, f"{real.topic.topic}.restored").values() for row in rows]
    assert {*there} == {*real.sent}
    repeated = len(there) - len(real.sent)
    assert repeated <= max(entry.records for entry in archive_of(devicesync, real).manifest.entries())  # the one under way


def test_what_others_write_into_the_topic_meanwhile_is_told(
    devicesync: Devicesync, real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As restores from other data directories: six at once all ended with status 0, and left each record six times."""
    real.load(count=100).join()
    back_up(devicesync)
    put_all = into_topic._put_all

    def put_beside_others(*arguments: Any) -> None:
        put_all(*arguments)
        producer = Producer(real.topic.client)
        producer.produce(f"{real.topic.topic}.restored", b"another's")
        producer.flush()

    monkeypatch.setattr(into_topic, "_put_all", put_beside_others)
    settings = Settings(data_dir=str(devicesync.directory / "data"), log=real.flags[1])
    request = Request(
        str(devicesync.directory / "backup"), Selection(), allow_gaps=False, dry_run=False, workers=1, restart=False
    )
    said: list[str] = []
    watcher = Mock(wraps=Unwatched(), say=said.append)
    target = into_topic.Target(f"{real.topic.topic}.restored", rekey=False, append=False)
    sent = len(real.sent)
    with pytest.raises(Replaced, match=f"has {sent + 1} records, and {sent} were put there"):
        into_topic.restore_to_topic(request, target, settings, watcher)
    assert into_topic.restore_to_topic(request, target, settings, watcher)["records"] == sent
    assert f"has {sent + 2} records, and {sent} were put there" in said[-1]


@pytest.mark.parametrize("loss", ["deleted", "emptied"])
def test_a_topic_that_was_lost_while_its_restore_was_interrupted(devicesync: Devicesync, real: Real, loss: str) -> None:
    """Deleted: it is made anew and gets all. It got what was left, with exit status 0. Emptied: that is said."""
    real.load(count=300).join()
    back_up(devicesync, "--max-file-bytes", "3000")
    topic = f"{real.topic.topic}.restored"
    restore = ("restore", "--from", "backup", "--to-topic", topic, "--workers", "1")
    assert devicesync.run_by(KILLED_WHEN_DONE, "_put", "3", *restore).returncode == -signal.SIGKILL
    admin = AdminClient(real.topic.client)
    if loss == "deleted":
        admin.delete_topics([topic])[topic].result()
        until(lambda: topic not in admin.list_topics(timeout=10).topics)
        assert devicesync.json(*restore)["records"] == len(real.sent)
        assert sorted(row[3] for rows in records_of(real, topic).values() for row in rows) == sorted(real.sent)
    else:
        for future in admin.delete_records([TopicPartition(topic, partition, OFFSET_END) for partition in range(6)]).values():
            future.result()
        done = devicesync.run(*restore)
        assert (done.returncode, b"was made anew or emptied meanwhile" in done.stderr) == (3, True), done.stderr


def records_of(real: Real, topic: str) -> dict[int, list[Any]]:
    """What a topic has."""
    from devicesync.log.kafka import KafkaLog, KafkaUrl  # noqa: PLC0415

    log = KafkaLog(KafkaUrl.parse(f"kafka://{real.topic.servers}/{topic}"), "x")
    bounds = log.survey().bounds.items()
    return {
        partition: [
            (row[0], row[1], row[2], row[3] or b"-", row[4] or []) for batch in log.records(partition, *ends) for row in batch
        ]
        for partition, ends in bounds
    }


@pytest.mark.parametrize("step", STEPS)
def test_kill_nine_at_each_step(devicesync: Devicesync, real: Real, step: str) -> None:
    """Then the next run, with files of another size, completes what was begun."""
    real.load(count=600).join()
    devicesync.killed_at(step, 2, "--to", "backup", "--max-file-bytes", "8000")
    back_up(devicesync, "--max-file-bytes", "30000")
    check_exactly_once(devicesync, real)
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []


@pytest.mark.slow
def test_fifty_kills_under_load(devicesync: Devicesync, real: Real) -> None:
    """Of two that share the topic, one at a time; every offset in exactly one file."""
    chance = random.Random(8)
    loading = real.load(count=6000)
    running = [start_backup(devicesync, chance) for _ in range(2)]
    for _ in range(50):
        time.sleep(chance.random() * 0.4)
        victim = running.pop(0)
        victim.kill()
        victim.wait()
        running.append(start_backup(devicesync, chance))
    loading.join()
    for process in running:
        assert stopped(process) == 0
    back_up(devicesync)
    check_exactly_once(devicesync, real)
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []


def start_backup(devicesync: Devicesync, chance: random.Random) -> "subprocess.Popen[str]":
    """One member, with its own idea of a file's size."""
    size = str(chance.choice([10_000, 50_000, 200_000]))
    return devicesync.start("backup", "run", "--to", "backup", "--max-file-bytes", size, "--max-file-seconds", "1", ready=False)


def test_a_zombie_and_rebalances(devicesync: Devicesync, real: Real) -> None:
    """One is stopped until the group has given its partitions away, then goes on in the middle of its upload."""
    loading = real.load(count=3000)
    chance = random.Random(1)
    zombie = start_backup(devicesync, chance)
    until(archive_of(devicesync, real).manifest.entries)
    zombie.send_signal(signal.SIGSTOP)
    others = [start_backup(devicesync, chance) for _ in range(2)]
    time.sleep(14)  # its session ends after 10 s
    zombie.send_signal(signal.SIGCONT)
    time.sleep(3)
    loading.join()
    assert stopped(others[0]) == 0
    for process in (zombie, others[1]):
        assert stopped(process) == 0
    back_up(devicesync)
    check_exactly_once(devicesync, real)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_topic_that_is_made_anew_is_a_new_generation(devicesync: Devicesync, real: Real, *, is_running: bool) -> None:
    """With offsets from 0, while the backup runs or between two runs; nothing of the old one is lost."""
    simulation = Simulation(seed=3, devices=50, bad_share=0)
    old = [simulation.record(V // 1000 + number) for number in range(120)]
    new = [simulation.record(V // 1000 + number) for number in range(60)]
    real.send(*old)
    running = devicesync.start("backup", "run", "--to", "backup", "--max-file-seconds", "1") if is_running else None
    if is_running:
        until(lambda: sum(entry.records for entry in archive_of(devicesync, real).manifest.entries()) == 120)
    else:
        back_up(devicesync)
    admin = AdminClient(real.topic.client)
    before = identity_of(admin, real.topic.topic)
    admin.delete_topics([real.topic.topic])[real.topic.topic].result(10)
    # Until the broker itself knows, it takes records for the old one.
    until(lambda: real.topic.topic not in admin.list_topics(timeout=10).topics)
    create_topics(real.topic, partitions=6)
    until(lambda: identity_of(admin, real.topic.topic) not in (DELETED, before))
    real.log.append(new, [key_of(value) for value in new])
    if running:
        until(lambda: sum(entry.records for entry in archive_of(devicesync, real).manifest.entries()) == 180)
        assert stopped(running) == 0
    back_up(devicesync)
    kept = list(rows_of(archive_of(devicesync, real), devicesync.directory))
    assert sorted(row[3] or b"" for generation, _, row in kept if generation == 1) == sorted(old)
    assert sorted(row[3] or b"" for generation, _, row in kept if generation == 2) == sorted(new)
    check_exactly_once(devicesync, real)
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["records"] == 180


class S3:
    """A server that speaks S3, in a process of its own, which can be taken away for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        (port,) = free_ports(1)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        import boto3  # type: ignore[import-untyped] # noqa: PLC0415

        self._client: Any = boto3.client("s3")
        with ExitStack() as on_error:
            on_error.callback(self.stop)
            until(self._has_bucket)
            on_error.pop_all()

    def pause(self) -> None:
        """Answer nobody; who waits gets a time-out."""
        self._server.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Answer again."""
        self._server.send_signal(signal.SIGCONT)

    def make_bucket(self, name: str) -> None:
        """Make a bucket."""
        self._client.create_bucket(Bucket=name)

    def stop(self) -> None:
        """Stop it."""
        self._server.kill()
        self._server.wait()

    def _has_bucket(self) -> bool:
        from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped] # noqa: PLC0415

        try:
            self.make_bucket("bucket")
        except BotoCoreError:
            return False
        return True


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    server = S3(monkeypatch)
    yield server
    server.stop()


def test_logs_that_begin_at_once_in_a_bucket_get_a_generation_each(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store makes an object only where there is none."""
    del s3
    assert begun_at_once("s3://bucket/shared", monkeypatch, "a", "b", "b", "c") == [3, 2, 2, 1]


@pytest.mark.parametrize("step", ["uploaded", "listed"])
def test_s3_killed_between_upload_and_commit(devicesync: Devicesync, real: Real, s3: S3, step: str) -> None:
    """The same law on an object store; restored from there."""
    del s3
    real.load(count=150).join()
    devicesync.killed_at(step, 2, "--to", "s3://bucket/prefix", "--max-file-bytes", "8000")
    back_up(devicesync, to="s3://bucket/prefix")
    check_exactly_once(devicesync, real, "s3://bucket/prefix")
    assert devicesync.json("backup", "verify", "--in", "s3://bucket/prefix")["problems"] == []
    done = devicesync.json("restore", "--from", "s3://bucket/prefix", "--to-stores")
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    assert real.differences() == []


@pytest.mark.parametrize("trouble", ["no answer", "errors"])
def test_an_object_store_in_trouble_is_waited_for(devicesync: Devicesync, real: Real, s3: S3, trouble: str) -> None:
    """Said once; nothing is lost."""
    bucket = "bucket" if trouble == "no answer" else "not-there-yet"
    running = devicesync.start("backup", "run", "--to", f"s3://{bucket}/prefix", "--max-file-seconds", "1")
    assert running.stderr
    if trouble == "no answer":
        s3.pause()
    real.load(count=300).join()
    while "waiting" not in running.stderr.readline():
        pass
    if trouble == "no answer":
        s3.resume()
    else:
        s3.make_bucket(bucket)
    assert stopped(running) == 0
    back_up(devicesync, to=f"s3://{bucket}/prefix")
    check_exactly_once(devicesync, real, f"s3://{bucket}/prefix")


def test_holes_of_transactions_are_no_gaps(devicesync: Devicesync, real: Real) -> None:
    """Their markers take an offset, and no reader gets them."""
    producer = Producer({**real.topic.client, "transactional.id": real.group})
    producer.init_transactions(30)
    for turn in range(4):
        producer.begin_transaction()
        for number in range(30):
            producer.produce(real.topic.topic, registration(f"d{turn}-{number}", V, city="Pune"), partition=number % 3)
        producer.flush()
        producer.commit_transaction() if turn != 1 else producer.abort_transaction()
    assert back_up(devicesync, "--max-file-bytes", "500")["records"] == 90
    check_exactly_once(devicesync, real)
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert back_up(devicesync)["records"] == 0


def test_what_the_log_lost_is_no_loss_where_it_was_no_record(devicesync: Devicesync, real: Real) -> None:
    """Retention drops an aborted transaction that was read: no error, at no start, and no gap before the next record."""
    producer = Producer({**real.topic.client, "transactional.id": real.group})
    producer.init_transactions(30)
    for fate in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for number in range(12):
            producer.produce(real.topic.topic, registration(f"d{number}", V, city="Pune"), partition=number % 3)
        producer.flush()
        fate()
        assert back_up(devicesync)["records"] == (12 if fate == producer.commit_transaction else 0)
    places = [TopicPartition(real.topic.topic, partition, OFFSET_END) for partition in range(3)]
    admin = AdminClient(real.topic.client)
    for deleted in admin.delete_records(places).values():
        deleted.result(10)
    for _ in range(2):
        done = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
        assert (done.returncode, b'"error"' in done.stderr) == (0, False), done.stderr
    real.log.append([registration(f"d{number}", V + 1, city="Pune") for number in range(30)], [b"%d" % n for n in range(30)])
    assert back_up(devicesync)["records"] == 30
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []


def test_records_that_the_log_lost_first_are_a_gap(devicesync: Devicesync, real: Real) -> None:
    """Retention overtook the backup: it says so, goes on, and verify names the file after the gap."""
    lines = [registration(f"d{number}", V, city="Pune") for number in range(30)]
    real.log.append(lines[:10], [b"k"] * 10)
    back_up(devicesync)
    (partition,) = {entry.partition for entry in archive_of(devicesync, real).manifest.entries()}
    real.log.append(lines[10:20], [b"k"] * 10)
    admin = AdminClient(real.topic.client)
    place = TopicPartition(real.topic.topic, partition, 15)
    admin.delete_records([place])[place].result(10)
    done = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
    assert (done.returncode, b"gone from the log" in done.stderr) == (0, True)
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", "--deep", status=1)["problems"]
    assert "gap: records 10 to 14" in problem["problem"]
    real.log.append(lines[20:], [b"k"] * 10)
    assert back_up(devicesync)["records"] == 10
