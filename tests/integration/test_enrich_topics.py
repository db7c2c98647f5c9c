"""`enrich`, topic to topic, over real Kafka and Redis."""

import base64
import json
import random
import re
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]
from devstack.servers import Redis

from devicesync.assembly.opening import open_cache
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience
from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.forward import KafkaForward
from devicesync.log.kafka.survey import records, survey
from devicesync.status.declared import declared_for
from tests import servers
from tests.end_to_end.command import Devicesync, stopped, until
from tests.integration.test_enricher import event, register

PARTITIONS = 3
Stored = tuple[int, int | None, bytes | None, bytes | None, Any]


class Telemetry:
    """A topic of its own, and commands that enrich it."""

    def __init__(self, directory: Path, redis: Redis) -> None:
        self.name = servers.unused_name("telemetry")
        self.kafka = f"127.0.0.1:{servers.kafka().port}"
        self.source, self.target = f"kafka://{self.kafka}/{self.name}.unique", f"kafka://{self.kafka}/{self.name}.denorm"
        cache = f"redis://127.0.0.1:{redis.port}/2"
        self.cache = open_cache(cache)
        self.devicesync = Devicesync(directory)
        self.flags = ("--telemetry-from", self.source, "--telemetry-to", self.target, "--cache", cache)
        settings = f'group = "{self.name}"\n'
        (directory / "devicesync.toml").write_text(settings)
        self.admin = AdminClient({"bootstrap.servers": self.kafka})
        self.make(f"{self.name}.unique", PARTITIONS)
        self._producer = Producer({"bootstrap.servers": self.kafka, "message.max.bytes": 2_000_000})

    def make(self, topic: str, partitions: int, **settings: str) -> None:
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result()

    def send(self, value: bytes | None, partition: int = 0, **more: Any) -> None:
        self._producer.produce(f"{self.name}.unique", value, partition=partition, **more)

    def flush(self) -> None:
        failed: list[Message] = []
        assert self._producer.flush(30) == 0
        assert failed == []

    def enrich(self, *words: str) -> Any:
        return self.devicesync.json("enrich", *self.flags, "--until-caught-up", *words)

    def read(self) -> dict[int, list[Stored]]:
        """What the target has; nothing where it was not made yet."""
        topic = KafkaUrl.parse(self.target)
        try:
            found = survey(topic)
        except Unavailable:
            return {}
        return {
            partition: [row for batch in records(topic, partition, *bounds) for row in batch]
            for partition, bounds in found.bounds.items()
        }


@pytest.fixture(scope="module")
def redis() -> Redis:
    """One of our own: it is frozen."""
    return servers.started(Redis)


@pytest.fixture
def telemetry(tmp_path: Path, redis: Redis) -> Iterator[Telemetry]:
    found = Telemetry(tmp_path, redis)
    yield found
    found.devicesync.stop_all()
    found.cache.close()


def cities(stored: dict[int, list[Stored]]) -> list[str]:
    return [json.loads(row[3] or b"")["devicedata"]["city"] for found in stored.values() for row in found]


def test_records_keep_what_they_have(telemetry: Telemetry) -> None:
    """Key, headers, timestamp, partition and order; what is refused is in the dead letters, whole."""
    register(telemetry.cache, 1, "kept", city="Mysuru")
    headers = [("a", b"\xff"), ("a", None)]
    begin_ms = time.time_ns() // 1_000_000 - 3_600_000  # not long ago: Kafka's retention goes by the records' own times
    for number in range(200):
        value = b'{"n":%d,"context":{"did":"kept"}}' % number
        telemetry.send(value, number % PARTITIONS, key=b"k%d" % number, headers=headers, timestamp=begin_ms + number)
    for bad in (b"{bad", None, b'{"context":{"did":"kept"},"flags":7}'):
        telemetry.send(bad, 1, key=b"bad")
    telemetry.flush()
    reasons = {"malformed_json": 2, "invalid_field": 1}
    assert telemetry.enrich() == {"read": 203, "written": 200, "dead": 3, "dead_reasons": reasons}
    stored = telemetry.read()
    assert sorted(stored) == [0, 1, 2]
    for partition, found in stored.items():
        numbers = [number for number in range(200) if number % PARTITIONS == partition]
        assert [json.loads(row[3] or b"")["n"] for row in found] == numbers
        for number, (_, stamp_ms, key, enriched, kept) in zip(numbers, found, strict=True):
            assert (stamp_ms, key, kept) == (begin_ms + number, b"k%d" % number, headers)
            assert enriched
            assert enriched.startswith(b'{"n":%d,"context":{"did":"kept"},"devicedata":{' % number)
    letters = telemetry.devicesync.json("dead-letters", "list", "--log", telemetry.source)
    assert {(letter["reason"], letter["partition"], letter["offset"] >= 66) for letter in letters["dead_letters"]} == {
        ("malformed_json", 1, True), ("invalid_field", 1, True),
    }  # fmt: skip
    assert telemetry.enrich()["read"] == 0  # all of it is committed


def test_records_of_a_topic_with_other_partitions_go_by_key(telemetry: Telemetry) -> None:
    telemetry.make(f"{telemetry.name}.denorm", 2)
    for number in range(60):
        telemetry.send(b'{"n":%d}' % number, number % PARTITIONS, key=b"k%d" % (number % 5))
        telemetry.send(b'{"n":%d}' % number, number % PARTITIONS)
    telemetry.flush()
    telemetry.enrich()
    of_key: dict[bytes | None, set[int]] = defaultdict(set)
    for partition, found in telemetry.read().items():
        for _, _, key, value, _ in found:
            of_key[key].add(partition)
            assert value
    assert len(of_key) == 6
    assert all(len(partitions) == 1 for key, partitions in of_key.items() if key)


def test_a_topic_that_gets_more_partitions_stops_nobody(telemetry: Telemetry) -> None:
    """Their first records are tried again, by key. All partitions of the process stood still until it was started again."""
    forward = KafkaForward(KafkaUrl.parse(telemetry.source), KafkaUrl.parse(telemetry.target))
    forward.open()
    telemetry.admin.create_partitions([NewPartitions(f"{telemetry.name}.unique", PARTITIONS + 1)])[
        f"{telemetry.name}.unique"
    ].result()
    records = {partition: [(0, None, b"k", b"%d" % partition, None)] for partition in range(PARTITIONS + 1)}
    forward.offer(records)
    Patience(threading.Event()).until_it_works(forward.put, records)
    assert {row[3] for found in telemetry.read().values() for row in found} == {b"0", b"1", b"2", b"3"}
    forward.offer(records)
    assert forward.put(records) == []


def test_an_event_that_gets_too_large_is_a_dead_letter(telemetry: Telemetry) -> None:
    """The target takes less than the source; the others go on, in order."""
    telemetry.make(f"{telemetry.name}.denorm", PARTITIONS, **{"max.message.bytes": "10000"})
    for number in range(50):
        padding = base64.b64encode(random.Random(1).randbytes(20_000)) if number == 25 else b""
        telemetry.send(b'{"n":%d,"context":{"did":"d"},"x":"%s"}' % (number, padding))
    telemetry.flush()
    assert telemetry.enrich()["dead_reasons"] == {"too_large": 1}
    numbers = [json.loads(row[3] or b"")["n"] for row in telemetry.read()[0]]
    assert [*dict.fromkeys(numbers)] == [number for number in range(50) if number != 25]


def test_a_change_is_in_the_next_event(telemetry: Telemetry) -> None:
    """A running job: registered in one city, then in another."""
    running = telemetry.devicesync.start("enrich", *telemetry.flags, "--admin-listen", "127.0.0.1:0")
    for version, city in enumerate(("Bengaluru", "Mysuru", "Hubballi"), 1):
        register(telemetry.cache, version, "moves", city=city)
        time.sleep(0.1)  # the promise is about 100 ms
        telemetry.send(event("moves"))
        telemetry.flush()
        until(lambda count=version: len(telemetry.read().get(0, [])) == count)  # type: ignore[misc]
    assert cities(telemetry.read()) == ["Bengaluru", "Mysuru", "Hubballi"]
    assert stopped(running) == 0


def test_a_frozen_cache_is_waited_for(telemetry: Telemetry, redis: Redis) -> None:
    """Nothing is lost, passed by, or enriched from what is not proven."""
    register(telemetry.cache, 1, "waits", city="Mysuru")
    running = telemetry.devicesync.start("enrich", *telemetry.flags)
    telemetry.send(event("waits"))
    telemetry.flush()
    until(lambda: len(telemetry.read().get(0, [])) == 1)
    redis.pause()
    try:
        assert running.stderr
        until(lambda: "changes are not heard" in running.stderr.readline())  # type: ignore[union-attr]
        telemetry.send(event("waits"))
        telemetry.flush()
        until(lambda: "can't read the cache" in running.stderr.readline())  # type: ignore[union-attr]
        assert len(telemetry.read()[0]) == 1
    finally:
        redis.resume()
    until(lambda: len(telemetry.read()[0]) == 2)
    assert cities(telemetry.read()) == ["Mysuru", "Mysuru"]
    assert stopped(running) == 0


def test_two_share_a_topic_and_one_is_killed(telemetry: Telemetry) -> None:
    """Every event is there, and after the first time it is seen those of a partition keep their order."""
    register(telemetry.cache, 1, "d", city="Mysuru")
    first = telemetry.devicesync.start("enrich", *telemetry.flags)
    telemetry.devicesync.start("enrich", *telemetry.flags)
    for number in range(2400):
        telemetry.send(b'{"n":%d,"context":{"did":"d"}}' % number, number % PARTITIONS)
        if number == 1200:
            telemetry.flush()
            first.kill()
    telemetry.flush()

    def numbers() -> dict[int, list[int]]:
        return {
            partition: [*dict.fromkeys(json.loads(row[3] or b"")["n"] for row in found)]
            for partition, found in telemetry.read().items()
        }

    expected = {partition: list(range(partition, 2400, PARTITIONS)) for partition in range(PARTITIONS)}
    until(lambda: sum(map(len, numbers().values())) == 2400)
    assert numbers() == expected


def test_metrics(telemetry: Telemetry) -> None:
    register(telemetry.cache, 1, "d", city="Mysuru")
    running = telemetry.devicesync.start("enrich", *telemetry.flags, "--admin-listen", "127.0.0.1:0", ready=False)
    assert running.stderr
    line = running.stderr.readline()
    url = "http://" + line.partition("admin on http://")[2].partition(". Ctrl-C")[0]
    telemetry.send(event("d"))
    telemetry.send(b"{bad")
    telemetry.flush()

    def metrics() -> str:
        return str(urllib.request.urlopen(f"{url}/metrics").read().decode())  # noqa: S310 - our own

    until(lambda: "devicesync_enrich_written_total 1.0" in metrics())
    text = metrics()
    assert {*re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)} == declared_for("enrich")
    for figure in (
        "devicesync_enrich_events_total 2.0", "devicesync_enrich_misses_total 1.0", 'devicesync_enrich_refused_total{reason="malformed_json"} 1.0',
        'devicesync_enrich_age_seconds_bucket{le="+Inf"} 1.0', "devicesync_enrich_hears_changes 1.0",
        "devicesync_enrich_remembered_devices 1.0",
    ):  # fmt: skip
        assert figure in text
    assert urllib.request.urlopen(f"{url}/readyz").status == 200  # noqa: S310 - our own
    assert stopped(running) == 0
