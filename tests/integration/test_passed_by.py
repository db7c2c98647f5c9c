"""What lies in a topic and is no record, and what no longer lies there."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.clock import SYSTEM
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl, bounds, gaps, transactions
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.bounds import firsts
from devicesync.log.kafka.lag import group_lag
from devicesync.log.kafka.overtaken import overtaken
from devicesync.log.kafka.transactions import Awaited
from tests import servers
from tests.end_to_end.command import Devicesync, until
from tests.integration.real import commands_over

if TYPE_CHECKING:
    from concurrent.futures import Future


@pytest.fixture
def topic() -> KafkaUrl:
    name = servers.unused_name("passed")
    made = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}")
    create_topics(made, partitions=1)
    return made


@pytest.fixture
def devicesync(tmp_path: Path, topic: KafkaUrl) -> Iterator[Devicesync]:
    yield from commands_over(topic, tmp_path)


def event(number: int) -> bytes:
    return b'{"device_id":"d%d","api_last_updated_on":%d}' % (number, time.time_ns() // 1_000_000)


def send_in_transactions(topic: KafkaUrl, count: int) -> None:
    """Records of one transaction each: behind every one of them lies a marker."""
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    producer.init_transactions(30)
    for number in range(count):
        producer.begin_transaction()
        producer.produce(topic.topic, event(number))
        producer.commit_transaction()


def drop_before(topic: KafkaUrl, offset: int) -> None:
    """As the topic's retention does it."""
    admin = AdminClient(topic.client)  # which has to live until the answer is there
    (dropped,) = admin.delete_records([TopicPartition(topic.topic, 0, offset)]).values()
    dropped.result()


def read_ten(log: KafkaLog) -> None:
    """Append ten records, and commit them as the updater does."""
    log.append([event(number) for number in range(10)])
    with closing(log.reader("updater")) as reader:
        assert polled(reader, 10) == [*range(10)]
        reader.commit()
        assert reader.lost == 0


def polled(reader: KafkaReader, count: int) -> list[int]:
    """The offsets of the next records."""
    found: list[int] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [record.offset for record in reader.poll(100, 0.2)]
    return found


def told(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """What these log lines say of offsets, and how loud."""
    return [(line["log_level"], line["offset"], line["next_offset"]) for line in lines]


def drop_positions(topic: KafkaUrl) -> None:
    """As Kafka does it when the group has had no members for so many days."""
    admin = AdminClient(topic.client)
    until(lambda: not _fails(admin.delete_consumer_groups([topic.topic])[topic.topic]))  # once its members have left


def _fails(deleted: "Future[None]") -> bool:
    return deleted.exception() is not None


def test_an_updater_catches_up_behind_the_marker_of_a_transaction(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """The last offset of the topic is a marker, which no reader gets: `update --until-caught-up` leaves all the same."""
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    producer.init_transactions(30)
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topic.topic, event(number))
        producer.commit_transaction() if number != 1 else producer.abort_transaction()
    done = devicesync.run("update", "--until-caught-up")
    assert done.returncode == 0, done.stderr
    assert devicesync.json("get", "d2")["version"]
    again = devicesync.run("update", "--until-caught-up")
    assert again.returncode == 0, again.stderr


def test_small_transactions_cost_a_question_a_poll_and_not_one_each(topic: KafkaUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each leaves a gap, its marker. A consumer's own question waited for 100 ms: 10 records a second, and SIGTERM waited too."""
    asked: list[set[int]] = []

    def counted(admin: AdminClient, name: str, partitions: Iterable[int]) -> dict[int, int]:
        asked.append({*partitions})
        return bounds.firsts(admin, name, asked[-1])

    monkeypatch.setattr(gaps, "firsts", counted)
    send_in_transactions(topic, 40)
    with closing(KafkaLog(topic, topic.topic)) as log, closing(log.reader("updater")) as taking:
        polls = [len(taking.poll(1, 30))]
        while sum(polls) < 40:
            polls.append(len(taking.poll(100, 0.2)))
        assert len([partitions for partitions in asked if partitions]) <= len(polls)
        assert taking.lost == 0


def test_what_the_log_took_last_lies_behind_an_open_transaction(topic: KafkaUrl) -> None:
    """No reader gets it yet, nor does who looks at the newest records. But else an API whose clock steps back does not see which versions another one has given."""
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic.topic, b"under way", partition=0)
    producer.flush()
    with closing(KafkaLog(topic, topic.topic)) as log:
        log.append([b"behind it"])
        assert [record.value for record in log.taken_since(0, 10, {})] == [b"under way", b"behind it"]
        assert [*log.newest(10)] == []
        producer.abort_transaction(30)
        assert [record.value for record in log.newest(10)] == [b"behind it"]


@pytest.mark.parametrize("commits", [True, False])
def test_what_lies_behind_an_open_transaction_is_told_and_waited_for(
    devicesync: Devicesync, topic: KafkaUrl, monkeypatch: pytest.MonkeyPatch, *, commits: bool
) -> None:
    """Every figure said that all was well. Once the transaction has ended nothing is behind, also where it was aborted."""
    monkeypatch.setattr(transactions, "LONG_SECONDS", 0.0)
    producer = Producer({**topic.client, "transactional.id": topic.topic})
    with closing(KafkaLog(topic, topic.topic)) as log:
        read_ten(log)
        assert group_lag(topic, topic.topic)[::3] == (0, 0)
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(topic.topic, event(10))
        assert producer.flush(30) == 0
        log.append([event(number) for number in range(11, 20)])
        lag = group_lag(topic, topic.topic)
        assert (lag.records, lag.held) == (10, 10)
        until(lambda: group_lag(topic, topic.topic).seconds > 10)
        assert "10 records lie behind a transaction" in str(devicesync.json("doctor", status=3))
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            until(lambda: not reader.poll(100, 0.2) and not reader.caught_up() and lines)
            assert "10 records" in lines[-1]["reason"]
            producer.commit_transaction() if commits else producer.abort_transaction()
            assert polled(reader, 9 + commits) == [*range(11 - commits, 20)]
            reader.commit()
            until(lambda: not reader.poll(100, 0.2) and reader.caught_up())
        assert group_lag(topic, topic.topic)[::3] == (0, 0)


def test_what_comes_behind_a_later_transaction_is_not_waited_for(topic: KafkaUrl) -> None:
    """Else a topic that always has some open transaction would never count as read."""
    awaited = Awaited(topic.topic, SYSTEM)
    assert not awaited.is_there({0: 10, 1: 5}, {0: 20, 1: 5})
    assert not awaited.is_there({0: 15, 1: 5}, {0: 40, 1: 9})
    assert awaited.is_there({0: 20, 1: 9}, {0: 50, 1: 9})
    assert awaited.is_there({0: 50, 1: 9}, {0: 50, 1: 9})


def test_records_that_the_retention_dropped_unread_are_told(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """40 of 50 were gone when the updater came back: an error line, a count, and a warning of doctor before that."""
    with closing(KafkaLog(topic, topic.topic)) as log:
        read_ten(log)
        log.append([event(number) for number in range(10, 60)])
        drop_before(topic, 50)
        assert overtaken(topic, topic.topic) == (40, 0)
        assert "40 records were gone" in str(devicesync.json("doctor", status=3))
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            assert polled(reader, 10) == [*range(50, 60)]
            assert reader.lost == 40
            reader.commit()
        assert told(lines) == [("error", 10, 50)]
        assert overtaken(topic, topic.topic) == (0, 0)


def test_records_that_the_retention_dropped_up_to_the_end_are_told(topic: KafkaUrl) -> None:
    """Nothing is left to poll, so no record shows the gap: the end does."""
    with closing(KafkaLog(topic, topic.topic)) as log:
        read_ten(log)
        log.append([event(number) for number in range(10, 60)])
        drop_before(topic, 60)
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            until(lambda: reader.poll(100, 0.2) == [] and reader.lost)
        assert reader.lost == 50
        assert told(lines) == [("error", 10, 60)]
        assert overtaken(topic, topic.topic) == (0, 0)


def test_all_that_was_left_went_before_a_run_that_ends_by_itself(topic: KafkaUrl, devicesync: Devicesync) -> None:
    """It says so once, and ends: nothing new has come since."""
    with closing(KafkaLog(topic, topic.topic)) as log:
        log.append([event(number) for number in range(10)])
        devicesync.run("update", "--until-caught-up")
        log.append([event(number) for number in range(50)])
    drop_before(topic, 60)
    assert b"gone from the log before they were applied" in devicesync.run("update", "--until-caught-up").stderr
    assert b"gone" not in devicesync.run("update", "--until-caught-up").stderr


def test_records_that_are_gone_with_the_group_s_positions_are_told(devicesync: Devicesync, topic: KafkaUrl) -> None:
    """A warning that counts nothing: a new group has no position either. From then on it has one, whatever it reads."""
    with closing(KafkaLog(topic, topic.topic)) as log:
        read_ten(log)
        log.append([event(number) for number in range(10, 60)])
        drop_positions(topic)
        drop_before(topic, 50)
        assert overtaken(topic, topic.topic) == (0, 50)
        assert "no position in the topic, whose first 50 records are gone" in str(devicesync.json("doctor", status=3))
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            assert polled(reader, 10) == [*range(50, 60)]
            reader.commit()
            assert (told(lines), reader.lost) == ([("warning", 0, 50)], 0)
        assert overtaken(topic, topic.topic) == (0, 0)


def test_a_group_has_a_position_from_its_first_start_on(topic: KafkaUrl) -> None:
    """Also where it found nothing: what comes, and is gone before the group comes back, was certainly not read."""
    with closing(KafkaLog(topic, topic.topic)) as log:
        log.append([event(number) for number in range(10)])
        drop_before(topic, 10)
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            until(lambda: reader.poll(100, 0.2) == [] and reader.caught_up() and overtaken(topic, topic.topic) == (0, 0))
            assert told(lines) == [("warning", 0, 10)]
        log.append([event(number) for number in range(10, 20)])
        drop_before(topic, 15)
        with closing(log.reader("updater")) as reader, structlog.testing.capture_logs() as lines:
            assert polled(reader, 5) == [*range(15, 20)]
            assert (told(lines), reader.lost) == ([("error", 10, 15)], 5)


def test_what_is_lost_is_told_though_the_first_question_fails(topic: KafkaUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken from the topic is given at once; the question is asked again."""
    answers = iter([KafkaException(KafkaError(KafkaError._TIMED_OUT))])

    def asked(admin: AdminClient, name: str, partitions: Iterable[int]) -> dict[int, int]:
        if [*partitions]:
            for failed in answers:
                raise failed
        return firsts(admin, name, partitions)

    with closing(KafkaLog(topic, topic.topic)) as log:
        read_ten(log)
        log.append([event(number) for number in range(10, 20)])
        drop_before(topic, 15)
        with closing(log.reader("updater")) as reader:
            monkeypatch.setattr(gaps, "firsts", asked)
            monkeypatch.setattr(gaps, "_PAUSE_SECONDS", 0.0)
            assert polled(reader, 5) == [*range(15, 20)]
            reader.commit()  # the group knows no more where the gap began
            until(lambda: reader.poll(1, 0.1) == [] and reader.lost)
            assert (reader.lost, [*answers]) == (5, [])


def test_gaps_of_compaction_are_no_loss(topic: KafkaUrl) -> None:
    """The log still begins before the gap: markers of a transaction, as compaction leaves gaps too."""
    send_in_transactions(topic, 4)
    with closing(KafkaReader(topic, topic.topic)) as reader:
        assert polled(reader, 4) == [0, 2, 4, 6]
        assert reader.lost == 0


def test_workers_do_not_outlive_a_killed_parent(devicesync: Devicesync) -> None:
    """Kill -9 of `update --workers`: its processes end too, rather than work on without anybody who would stop them."""
    parent = devicesync.start("update", "--workers", "2", ready=False)
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    workers = until(lambda: len(found := children.read_text().split()) == 2 and found)
    parent.kill()
    parent.wait()
    until(lambda: not [pid for pid in workers if _is_running(pid)])


@pytest.mark.parametrize(("by", "alone"), [(signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_a_worker_that_is_stopped_alone_ends_them_all(devicesync: Devicesync, by: signal.Signals, *, alone: bool) -> None:
    """A supervisor then starts all anew. Where their parent is told a moment later, they end well."""
    parent = devicesync.start("update", "--workers", "2", ready=False)
    told, said = parent.stderr, ""
    assert told
    while said.count("devicesync update: ") < 2:  # both work; they may write at once, and their words stand in one line
        line = told.readline()
        assert line, said
        said += line
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    workers = children.read_text().split()
    assert len(workers) == 2
    os.kill(int(workers[0]), by)
    if not alone:
        parent.terminate()
    assert parent.wait(60) == (3 if alone else 0)
    assert ("a worker was stopped alone" in told.read()) == alone
    assert not [pid for pid in workers if _is_running(pid)]


def _is_running(pid: str) -> bool:
    try:
        return "devicesync" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False
