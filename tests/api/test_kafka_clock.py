"""A broker whose clock is not the API's: its time is what the law guards records by."""

from collections.abc import Iterable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from devicesync.api import versions
from devicesync.api.answers import RequestError
from devicesync.api.fuse import Fuse
from devicesync.api.versions import Versions
from devicesync.clock import SYSTEM
from devicesync.law.event import MAX_BYTES
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.delivery import Outgoing, deliver
from devicesync.log.memory import MemoryLog
from tests import servers
from tests.api.conftest import Clock, Start
from tests.api.test_http import BODY, REGISTER, assert_refused, request
from tests.end_to_end.command import until


def test_a_clock_ahead_of_the_brokers_acknowledges_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused from the first registration on; the next ones are not even logged; a right clock serves again."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/clock.events.deviceprofile")
    create_topics(place, partitions=1)
    log = KafkaLog(place, group="clock")
    clock = Clock()
    monkeypatch.setattr(SYSTEM, "now_us", clock.us)
    monkeypatch.setattr(versions, "_MEASURED_SECONDS", 3600.0)
    started = start(log)
    clock.step(200)
    until(lambda: started.client.post(REGISTER + "d", json=BODY).status_code == 200)  # a new topic may have no leader yet
    clock.step(200)
    for _ in range(3):
        assert_refused(started.client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
    assert len([*log.newest(10)]) == 2
    monkeypatch.setattr(versions, "_MEASURED_SECONDS", 0.0)
    clock.step(-190)
    assert started.client.post(REGISTER + "d", json=BODY).status_code == 200
    log.close()


class Times:
    """A machine's clock, as Versions asks it."""

    def __init__(self) -> None:
        self.seconds = 1.8e9

    def now_us(self) -> int:
        return int(self.seconds) * 1_000_000

    def now_ms(self) -> int:
        return int(self.seconds) * 1000

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class StepBack(Times):
    """One that is set back."""

    back_seconds = 0

    def now_us(self) -> int:
        return super().now_us() - self.back_seconds * 1_000_000

    def now_ms(self) -> int:
        return super().now_ms() - self.back_seconds * 1000


def test_one_registration_in_a_while_measures_a_clock_that_was_wrong() -> None:
    """All 400 that came at once measured, every 10 s: soon nearly all records were refused ones, and `up` ended."""
    clock = Times()
    given = Versions(MemoryLog(), 300_000, Fuse(1, "LOG_UNAVAILABLE", ""), clock)

    def given_of(count: int) -> int:
        """How many of so many registrations get a version, and are refused when the log has them."""
        number = 0
        for _ in range(count):
            with suppress(RequestError):
                version = given.next()
                number += 1
                given.check_logged(version, clock.now_ms() - 400_000)
        return number

    assert given_of(400) == 1
    for _ in range(5):
        assert given.stepped_back
        clock.sleep(10)
        assert not given.stepped_back  # else a balancer that asks /readyz would send none, and nobody would measure
        assert given_of(400) == 1
    clock.sleep(10)
    version = given.next()  # under way
    with pytest.raises(RequestError):
        given.next()
    given.check_logged(version, clock.now_ms())
    assert given.next() > version


def test_a_clock_that_is_set_right_needs_no_measurement() -> None:
    """It was ahead of the log's by less than the law allows, and for 10 s registrations were refused when it was set right."""
    clock = StepBack()
    given = Versions(MemoryLog(), 300_000, Fuse(1, "LOG_UNAVAILABLE", ""), clock)
    given.look()
    version = given.next()
    given.check_logged(version, clock.now_ms() - 200_000)
    clock.back_seconds = 200
    given.look()
    assert given.next() > version


def test_what_is_acknowledged_after_a_refused_one_stays_the_last() -> None:
    """The refused one counts as not given. What was under way meanwhile does, and the log has it now."""
    given = Versions(MemoryLog(), 300_000, Fuse(1, "LOG_UNAVAILABLE", ""), clock := Times())
    refused, logged = given.next(), given.next()
    clock.seconds -= 30
    with pytest.raises(RequestError):
        given.check_logged(refused, clock.now_ms() - 301_000)
    given.check_logged(logged, clock.now_ms())
    assert given.next() > logged


def test_what_the_log_may_have_counts_after_a_refused_one() -> None:
    """A time-out says nothing: the log may have the line, and the next one is to win over it."""
    given = Versions(MemoryLog(), 300_000, Fuse(1, "LOG_UNAVAILABLE", ""), clock := Times())
    refused, unknown = given.next(), given.next()
    given.may_be_logged(unknown)
    clock.seconds -= 30
    with pytest.raises(RequestError):
        given.check_logged(refused, clock.now_ms() - 301_000)
    given.check_logged(unknown + 5, clock.now_ms())
    assert given.next() > unknown


def test_what_is_too_large_measures_no_clock() -> None:
    """Else one such registration in 10 s keeps a clock that was wrong, and is right again, from being measured."""
    clock = Times()
    given = Versions(MemoryLog(), 300_000, Fuse(1, "LOG_UNAVAILABLE", ""), clock)
    with pytest.raises(RequestError):
        given.check_logged(given.next(), clock.now_ms() - 400_000)
    clock.sleep(10)
    given.not_sent(given.next())
    version = given.next()
    given.check_logged(version, clock.now_ms())
    assert given.next() > version


def test_a_line_that_is_too_large_is_not_sent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its body has is small enough; what is added to it is not."""
    given: list[int] = []
    monkeypatch.setattr(Versions, "not_sent", lambda _, version: given.append(version))
    body = request(fcmToken="x" * (MAX_BYTES - 400))
    assert_refused(start(MemoryLog()).client.post(REGISTER + "d", json=body), 413, "TOO_LARGE")
    assert len(given) == 1


class Brokers:
    """Stands for a producer whose records go to brokers with these clocks."""

    def __init__(self, *clocks_ms: int) -> None:
        self._clocks_ms = clocks_ms
        self._told: list[Any] = []

    def produce(self, records: Iterable[Any]) -> None:
        self._told += [record[4] for record in records]

    def flush(self, seconds: float) -> int:
        del seconds
        for tell, stamp_ms in zip(self._told, self._clocks_ms, strict=True):
            tell(None, SimpleNamespace(timestamp=lambda at=stamp_ms: (TIMESTAMP_LOG_APPEND_TIME, at)))
        return 0


@pytest.mark.parametrize("clocks_ms", [(100, 700), (700, 100)])
def test_of_several_brokers_the_slowest_clock_counts(clocks_ms: tuple[int, int]) -> None:
    """One group of records lies on several brokers. Each record is guarded by its own broker's time."""
    producer: Any = Brokers(*clocks_ms)
    assert deliver(producer, "topic", [Outgoing(b"{}", b"a"), Outgoing(b"{}", b"b")]) == 100
