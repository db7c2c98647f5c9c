"""A log's newest records, and those that it took since a time, which say where the versions of a former process ended."""

import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import Producer as Transactional
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesync.clock import SYSTEM
from devicesync.log.journal import Journal
from devicesync.log.kafka import KafkaLog, KafkaUrl, survey
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.delivery import Outgoing, deliver
from devicesync.log.kafka.producer import Producer
from devicesync.log.kafka.taken import Bound, taken
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


@pytest.mark.parametrize("name", LOGS)
def test_the_records_since_a_time(name: str, tmp_path: Path) -> None:
    """From the first of that time on, or from one that was seen before; of them the newest; nothing of a time to come."""
    with opened(LOGS, name, tmp_path) as log:
        assert [*log.taken_since(0, 10, {})] == []
        for number in range(8):
            log.append([b"%d" % number + b"x" * 50, b"more"])
            time.sleep(0.003)
        every = [*log.newest(100)]
        for record in every:
            rest = [each for each in every if each.taken_ms >= record.taken_ms]
            assert [*log.taken_since(record.taken_ms, 100, {})] == rest
            unseen = [each for each in rest if each.offset >= every[9].offset]
            assert [*log.taken_since(record.taken_ms, 100, {0: every[9].offset})] == unseen
            assert [*log.taken_since(record.taken_ms, 3, {})] == rest[-3:]
        assert [*log.taken_since(every[-1].taken_ms + 60_000, 100, {})] == []


_NOW = 100


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 3), st.booleans()), max_size=20), st.integers(0, 21))
def test_what_a_journal_took_since_a_time_when_its_clock_goes_back_and_forth(
    groups: list[tuple[int, int, bool]], since: int
) -> None:
    """Lines that another program appended count as taken now: where they come first, they and the group before them come too."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "device-profile.log"
        log = Journal(path, segment_bytes=200, retention_seconds=3600)
        taken: list[int] = []
        for at, count, is_ours in groups:
            with mock.patch.object(SYSTEM, "now_us", lambda at=at: at * 1_000_000):
                if is_ours:
                    log.append([b"x" * 30] * count)
                else:
                    with path.open("ab") as file:
                        file.write(b"stranger\n" * count)
                taken += [at if is_ours else _NOW] * count
        first = next((number for number, at in enumerate(taken) if at >= since), len(taken))
        found = [record.offset for record in log.taken_since(since * 1_000, 1000, {})]
        log.close()
    assert found == [*range(found[0] if found else len(taken), len(taken))]
    assert first - 3 <= len(taken) - len(found) <= first
    if _NOW not in taken:
        assert len(taken) - len(found) == first


def test_what_a_topic_took_since_a_time_when_its_clock_goes_back() -> None:
    """A real broker's answer, over several segments: it looks for the first record of that time, not for the last before it."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/since")
    own_times = {"message.timestamp.type": "CreateTime", "segment.bytes": str(1 << 20)}
    admin = AdminClient(place.client)
    admin.create_topics([NewTopic("since", 1, 1, config=own_times)])["since"].result(30)
    begin = now_ms() - 1_000_000
    seconds = [*range(15), *range(300, 315), *range(20, 35)]
    producer = Producer(place)
    for each in seconds:
        deliver(producer, "since", [Outgoing(b"x" * 200_000, None, timestamp_ms=begin + each * 1000)])
    with closing(KafkaLog(place, group="since")) as log:
        for since in (0, 7, 20, 100, 314):
            first = next(spot for spot, each in enumerate(seconds) if each >= since)
            found = [record.offset for record in log.taken_since(begin + since * 1000, 1000, {})]
            assert found == [*range(first, len(seconds))]
        assert [*log.taken_since(begin + 400_000, 1000, {})] == []


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


def test_all_partitions_of_a_topic_are_asked_at_once() -> None:
    """One after the other, 400 of them took 4 to 11 s beside other readers, and an API looks before each registration for a while."""
    with (
        mock.patch.object(SimulatedConsumer, "_ask", autospec=True, side_effect=SimulatedConsumer._ask) as asked,
        clients_of(Broker("topic", 40, now_ms), now_ms),
        closing(KafkaLog(KafkaUrl.parse("kafka://simulated/topic"), "g")) as log,
    ):
        log.append([b"%d" % number for number in range(40)], [b"%d" % number for number in range(40)])
        assert len([*log.taken_since(0, 100, {})]) == 40
    assert asked.call_count == 2  # where they end, and what each has first since that time


def test_an_end_that_comes_with_the_last_record_before_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both are there at once, it is the end that tells that all was read, and no more is waited for."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/markers")
    create_topics(place, partitions=1)
    producer = Transactional(place.client | {"transactional.id": "markers"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("markers", b"one")
    producer.commit_transaction(30)

    def after_a_while(consumer: Consumer, most: int, bound: Bound) -> Iterator[list[Message]]:
        time.sleep(1)
        return taken(consumer, most, bound)

    monkeypatch.setattr(survey, "taken", after_a_while)
    with closing(KafkaLog(place, group="markers")) as log:
        assert [record.value for record in log.taken_since(0, 10, {})] == [b"one"]


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
