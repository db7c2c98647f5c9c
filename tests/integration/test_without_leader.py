"""A partition of the topic has no leader, on two real brokers: updaters and backups begin the others, and that one when it is back."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition

from devicesync.log.kafka import KafkaLog
from devicesync.log.kafka.bounds import ends, firsts
from devicesync.log.kafka.leaders import partition_of
from tests.end_to_end.command import Devicesync, until
from tests.integration.leaderless import PARTITIONS, Halved
from tests.integration.real import commands_over, registration

if TYPE_CHECKING:
    from subprocess import Popen

V = 1_700_000_000_000_000
DROPPED = 3


@pytest.fixture
def halved() -> Iterator[Halved]:
    """A topic that loses half its leaders by `halve`; each partition has lost its first records."""
    topic = Halved()
    put(topic, [device for each in range(PARTITIONS) for device in topic.devices({each}, DROPPED)])
    places = [TopicPartition(topic.url.topic, partition, DROPPED) for partition in range(PARTITIONS)]

    def drops() -> bool:
        with suppress(KafkaException):  # no leaders found: the cluster has just begun
            return all(dropped.result(60) for dropped in topic.admin.delete_records(places).values())
        return False

    until(drops)
    yield topic
    topic.heal()


@pytest.fixture
def devicesync(tmp_path: Path, halved: Halved) -> Iterator[Devicesync]:
    """Commands over that topic."""
    yield from commands_over(halved.url, tmp_path)


def put(halved: Halved, devices: list[str], version: int = V) -> None:
    """Register devices."""
    with closing(KafkaLog(halved.url, "x")) as log:
        log.append([registration(each, version) for each in devices], [each.encode() for each in devices])


def has(devicesync: Devicesync, devices: list[str], version: int = V) -> bool:
    """Whether the database has these versions."""
    found = [devicesync.run("get", each, "--json").stdout for each in devices]
    return all(b'"version":%d' % version in each.replace(b" ", b"") for each in found)


def told(process: "Popen[str]", lines: list[str]) -> None:
    """Gather what it says."""

    def gather() -> None:
        assert process.stderr
        lines.extend(process.stderr)

    threading.Thread(target=gather, daemon=True).start()


def count(lines: list[str], what: str) -> int:
    """How many of the lines have it."""
    return sum(what in line for line in lines)


@pytest.mark.parametrize("is_new", [True, False])
def test_an_updater_begins_what_has_a_leader(devicesync: Devicesync, halved: Halved, *, is_new: bool) -> None:
    """A group without positions began nothing. What is away is said once; then it begins at its first record, or at its position."""
    sick, well = halved.devices(halved.lose, 12)[8:], halved.devices(halved.lead, 12)[8:]
    if not is_new:
        put(halved, [*sick, *well], V - 1)
        devicesync.run("update", "--until-caught-up")
    put(halved, [*sick, *well])
    halved.halve()
    lines: list[str] = []
    process = devicesync.start("update", "--until-caught-up", ready=False)
    told(process, lines)
    until(lambda: has(devicesync, well))
    put(halved, well, V + 1)
    until(lambda: has(devicesync, well, V + 1))
    checked = devicesync.json("doctor", status=3)["findings"]
    named = ", ".join(map(str, sorted(halved.lose)))
    assert any(each["status"] == "failed" and f"of {PARTITIONS}: {named}." in each["detail"] for each in checked)
    assert process.poll() is None
    halved.heal()
    assert process.wait(300) == 0
    assert has(devicesync, sick)
    assert count(lines, "partitions of the log have no leader: they are not read") == 1
    assert count(lines, "have a leader again") == 1
    assert count(lines, "waiting") == 0
    assert count(lines, f'"next_offset": {DROPPED}') == (PARTITIONS if is_new else 0)


def test_a_backup_begins_what_has_a_leader(devicesync: Devicesync, halved: Halved) -> None:
    """And keeps each record once, from the first that the topic has."""
    sick, well = halved.devices(halved.lose, 12)[8:], halved.devices(halved.lead, 12)[8:]
    put(halved, [*sick, *well])
    halved.halve()
    lines: list[str] = []
    process = devicesync.start("backup", "run", "--to", "backup", "--max-file-seconds", "1", "--until-caught-up", ready=False)
    told(process, lines)
    until(lambda: kept(devicesync) == sent(well))
    assert process.poll() is None
    halved.heal()
    assert process.wait(300) == 0
    assert kept(devicesync) == sent([*sick, *well])
    assert devicesync.json("backup", "verify", "--in", "backup")["records"] == len(sick) + len(well)
    assert count(lines, "partitions of the log have no leader: they are not read") == 1
    assert count(lines, "waiting") == 0


def sent(devices: list[str]) -> dict[int, int]:
    """How many records each partition got of these devices."""
    return dict(Counter(partition_of(each.encode(), PARTITIONS) for each in devices))


def kept(devicesync: Devicesync) -> dict[int, int]:
    """How many records the backup has of each partition."""
    if not (devicesync.directory / "backup").exists():
        return {}
    found = Counter[int]()
    for file in devicesync.json("backup", "list", "--in", "backup")["files"]:
        found[file["partition"]] += file["records"]
    return dict(found)


def test_the_offset_of_a_leader_that_is_not_reached_is_not_taken_for_one() -> None:
    """Seen on two brokers, one of which was killed: after its time-out the client gives the offset -1001 and no error."""
    known = Mock(leader=1)
    known.id = 0
    topic: Any = Mock(error=None, partitions={0: known})
    silent = Mock(result=Mock(return_value=Mock(offset=-1001)))
    admin = Mock(
        list_topics=Mock(return_value=Mock(topics={"t": topic})),
        list_offsets=Mock(return_value={TopicPartition("t", 0): silent}),
    )
    for ask in (partial(firsts, admin, "t", [0]), partial(ends, admin, "t", [0], IsolationLevel.READ_COMMITTED)):
        with pytest.raises(KafkaException) as failed:
            ask()
        assert failed.value.args[0].code() == KafkaError._TIMED_OUT
    known.leader = -1
    assert firsts(admin, "t", [0]) == {}
