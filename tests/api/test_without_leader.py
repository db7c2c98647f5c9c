"""A partition of the log has no leader, on two real brokers: its devices are told so, and all others register as ever."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import structlog

from devicesync.log.kafka import KafkaLog
from devicesync.log.kafka.leaders import partition_of
from devicesync.log.port import NoLeader
from tests.api.conftest import Clock, Start, Started
from tests.api.test_http import BODY, PROFILE, REGISTER, assert_refused
from tests.api.test_versions import BOSS, register, registered_at
from tests.end_to_end.command import until
from tests.integration.leaderless import Halved

LOST, REGAINED = "partitions of the log have no leader: ", "partitions of the log have a leader again"


@pytest.fixture
def halved() -> Iterator[Halved]:
    """A topic that loses half its leaders by `halve`."""
    topic = Halved()
    yield topic
    topic.heal()


@pytest.fixture
def log(halved: Halved) -> Iterator[KafkaLog]:
    """It as a log."""
    with closing(KafkaLog(halved.url, "api")) as opened:
        yield opened


def refused(started: Started, device_id: str) -> None:
    """A registration is refused for its partition."""
    assert_refused(started.client.post(REGISTER + device_id, json=BODY), 503, "PARTITION_UNAVAILABLE")


def told(lines: list[Any]) -> list[Any]:
    """What was said of leaders: how it begins, and of which partitions."""
    return [(line["event"].partition(": ")[0], line["partitions"]) for line in lines if "leader" in line["event"]]


def test_an_api_that_starts_without_a_leader_serves_the_other_partitions(start: Start, halved: Halved, log: KafkaLog) -> None:
    """It answered 503 to all, since it asked all partitions for the last version."""
    halved.halve()
    sick, well = halved.devices(halved.lose, 4), halved.devices(halved.lead, 4)
    with structlog.testing.capture_logs() as lines:
        started = start(log, admin_keys="boss")
        for _ in range(2):
            assert all(register(started, name) for name in well)
            for name in sick:
                refused(started, name)
                assert_refused(started.client.delete(PROFILE + name, headers=BOSS), 503, "PARTITION_UNAVAILABLE")
    assert told(lines) == [(LOST.strip(": "), sorted(halved.lose))]
    ready = started.admin.get("/readyz")
    assert (ready.status_code, ready.json()["lacking"]) == (200, {})
    assert ready.json()["impaired"]["log"].endswith(", ".join(map(str, sorted(halved.lose))))
    with structlog.testing.capture_logs() as lines:
        halved.heal()
        until(lambda: started.client.post(REGISTER + sick[0], json=BODY).status_code == 200)
        assert all(register(started, name) for name in (*sick, *well))
    assert told(lines) == [(REGAINED, sorted(halved.lose))]
    assert "impaired" not in started.admin.get("/readyz").json()


def test_a_leader_that_is_lost_under_an_api(start: Start, halved: Halved, log: KafkaLog) -> None:
    """Of a group of lines those of the other partitions are acknowledged, and no fuse blows."""
    sick, well = halved.devices(halved.lose, 3), halved.devices(halved.lead, 3)
    started = start(log)
    assert all(register(started, name) for name in (*sick, *well))
    halved.halve()
    both = [*well, *sick]
    with pytest.raises(NoLeader) as failed:
        log.append([b"{}"] * len(both), [name.encode() for name in both])
    assert failed.value.spots == {3, 4, 5}
    assert failed.value.taken_ms
    with structlog.testing.capture_logs() as lines:
        for name in sick:
            refused(started, name)
            assert all(register(started, name) for name in well)
    assert told(lines) == [(LOST.strip(": "), sorted(halved.lose))]


def test_a_version_is_above_what_a_partition_has_that_comes_back(
    start: Start, halved: Halved, log: KafkaLog, clock: Clock
) -> None:
    """Another process gave it while its clock was ahead; this one's first look could not see it."""
    (sick,), (well,) = halved.devices(halved.lose, 1), halved.devices(halved.lead, 1)
    last = clock.us() + 200_000_000
    log.append([registered_at(last)], [sick.encode()])
    halved.halve()
    started = start(log)
    assert register(started, well) < last
    refused(started, sick)
    halved.heal()
    until(lambda: started.client.post(REGISTER + sick, json=BODY).status_code == 200)
    assert register(started, sick) > last
    first = next(record for record in log.newest(1000) if record.key == sick.encode() and record.offset > 0)
    assert b'"version":%d' % (last + 1) in (first.value or b"")


def test_a_key_goes_where_java_and_the_producer_bring_it(halved: Halved, log: KafkaLog) -> None:
    """Else a version would be given by the wrong partition's last one."""
    keys = [b"", b"a", b"ab", b"abc", b"abcd", "é".encode(), *(b"device-%d" % number for number in range(300))]
    log.append([b"{}"] * len(keys), keys)
    found = {record.key: record.partition for record in log.newest(10_000)}
    assert found == {key: partition_of(key, 4) for key in keys}
    del halved
