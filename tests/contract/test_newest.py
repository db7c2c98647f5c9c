"""A log's newest records, which say where the versions of a former process ended."""

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message

from devicesync.log.journal import Journal
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests import servers
from tests.contract.logs import now_ms, opened
from tests.contract.test_log import LOGS
from tests.simulation.kafka_broker import Broker
from tests.simulation.kafka_client import SimulatedConsumer, clients_of


@pytest.mark.parametrize("name", LOGS)
def test_the_newest_records(name: str, tmp_path: Path) -> None:
    """At most so many, in order, with their times; all where there are fewer; across a journal's segments."""
    with opened(LOGS, name, tmp_path) as log:
        assert [*log.newest(5)] == []
        log.append([b"%03d" % number + b"x" * 50 for number in range(20)])
        log.append([b"020"])
        found = [*log.newest(10)]
        assert [(record.value or b"")[:3] for record in found] == [b"%03d" % number for number in range(11, 21)]
        assert all(record.taken_ms for record in found)
        assert len([*log.newest(1000)]) == 21


@pytest.mark.parametrize("name", ["journal", "kafka"])
def test_looking_through_large_records_takes_little_memory(name: str, tmp_path: Path) -> None:
    """Whoever can write the log can make them large."""
    count, size = 160, 900_000
    with opened(LOGS, name, tmp_path) as log:
        for number in range(count // 8):
            log.append([b"%c" % (97 + number) * size] * 8)
        tracemalloc.start()
        try:
            found = [((record.value or b"")[:1], len(record.value or b"")) for record in log.newest(1000)]
            assert tracemalloc.get_traced_memory()[1] < count * size // 2
        finally:
            tracemalloc.stop()
    assert found == [(b"%c" % (97 + number // 8), size) for number in range(count)]


def test_a_former_end_of_the_topic_ends_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client tells an end that it has seen: the topic's when it was asked, or one before."""
    fetched = SimulatedConsumer._fetched

    def after_an_end(consumer: SimulatedConsumer, partition: int, _count: int) -> Iterator[Message]:
        yield Message(topic="topic", partition=partition, offset=2, error=KafkaError(KafkaError._PARTITION_EOF))
        yield from fetched(consumer, partition, 1)

    monkeypatch.setattr(SimulatedConsumer, "_fetched", after_an_end)
    with clients_of(Broker("topic", 1, now_ms), now_ms), closing(KafkaLog(KafkaUrl.parse("kafka://simulated/topic"), "g")) as log:
        log.append([b"0", b"1", b"2", b"3", b"4"])
        assert [record.value for record in log.newest(10)] == [b"0", b"1", b"2", b"3", b"4"]
        assert [record[0] for some in log.records(0, 1, 5) for record in some] == [1, 2, 3, 4]


def test_the_newest_records_of_all_partitions_of_a_topic() -> None:
    """Of each alike; a topic that is not there has none."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/newest")
    log = KafkaLog(place, group="newest")
    assert [*log.newest(10)] == []
    create_topics(place, partitions=3)
    log.append([b"%d" % number for number in range(300)], [b"%d" % number for number in range(300)])
    found = [*log.newest(30)]
    assert len(found) == 30
    assert {record.partition for record in found} == {0, 1, 2}
    assert max(int(record.value or 0) for record in found) == 299
    log.close()


def test_a_journal_of_blank_lines_has_none(tmp_path: Path) -> None:
    """It ends all the same."""
    log = Journal(tmp_path / "device-profile.log", segment_bytes=200, retention_seconds=3600)
    log.append([b"", b" "])
    assert [*log.newest(10)] == []
    log.close()
