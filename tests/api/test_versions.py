"""Versions, when the clock steps back, a process starts again, or a device's row lies ahead."""

import asyncio
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from devicesync.api import versions
from devicesync.api.answers import RequestError
from devicesync.api.clock_steps import ClockSteps
from devicesync.api.fuse import Fuse
from devicesync.api.service import api
from devicesync.cache.memory import MemoryCache
from devicesync.clock import SYSTEM
from devicesync.config import load
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.jobs.erase import erase_line
from devicesync.law.event import decode
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.journal import Journal
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from devicesync.status.metrics import Metrics
from devicesync.stores import Stores
from tests.api.conftest import Clock, Start, Started, put
from tests.api.test_http import BODY, PROFILE, REGISTER, assert_refused
from tests.end_to_end.command import WAIT_SECONDS, until

BOSS = {"X-API-Key": "boss"}


def register(started: Started, device_id: str = "d") -> int:
    """The version of a registration."""
    answer = started.client.post(REGISTER + device_id, json=BODY)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["result"]["version"])


def test_while_the_clock_is_behind_nothing_is_acknowledged(start: Start, clock: Clock) -> None:
    """By more than the law bears: 503, said once in the log and by /readyz; then versions go on where they were."""
    started = start(MemoryLog(clock.ms))
    before = register(started)
    clock.step(-600)
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            assert_refused(started.client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
    assert [line["event"] for line in told] == ["the clock stepped back, or lies ahead of the log's"]
    assert "clock" in started.admin.get("/readyz").json()["lacking"]
    clock.step(600)
    assert register(started) > before
    assert started.admin.get("/readyz").status_code == 200
    assert_the_law_takes(started.log.records, 2)


def test_a_clock_that_is_a_little_behind_is_borne(start: Start, clock: Clock) -> None:
    """Versions grow on, and the law takes them."""
    started = start(MemoryLog(clock.ms))
    before = register(started)
    clock.step(-290)
    assert [register(started) for _ in range(3)] == [before + 1, before + 2, before + 3]
    assert_the_law_takes(started.log.records, 4)


def test_a_clock_that_steps_back_under_two_processes(start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a device registers at the other one is newer, at once and for as long as versions lie ahead."""
    log = MemoryLog(clock.ms)
    one, other = start(log), start(log)
    assert register(other) < register(one)
    clock.step(-60)
    assert register(one) < register(other)
    monkeypatch.setattr(versions, "_FOLLOWED_SECONDS", 0.0)
    for _ in range(3):
        assert max([register(one) for _ in range(5)]) < register(other)
    clock.step(120)
    assert register(one) < register(other)  # what was due to be looked at has been, by now
    looked: list[Any] = []
    monkeypatch.setattr(log, "taken_since", lambda *asked: looked.append(asked))
    assert register(one) < register(other)
    assert looked == []


def test_a_device_registers_at_two_processes_while_versions_lie_ahead(clock: Clock) -> None:
    """Each gave the next version after its own last one, up to a second behind the other's: 50 of 100 devices kept the older one."""
    log = MemoryLog(clock.ms)
    one, other = (versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(9, "LOG_UNAVAILABLE", "")) for _ in range(2))
    log.append([registered_at(of_next(one))])
    clock.step(-250)
    for _ in range(5):
        log.append([registered_at(of_next(one)) for _ in range(9)])
        last = of_next(one)
        log.append([registered_at(last)])
        assert of_next(other) > last


def test_a_device_registers_at_two_processes_when_the_clock_reaches_the_last_version(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the last millisecond nobody looked at the log: 30 of 440 devices had the same version at both, or an older one."""
    began_us = clock.us()
    monkeypatch.setattr(SYSTEM, "now_us", lambda: began_us + clock.offset_us)
    monkeypatch.setattr(SYSTEM, "monotonic", lambda: 1_000.0)
    log = Asked(SYSTEM.now_ms)
    one, other = (versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(9, "LOG_UNAVAILABLE", "")) for _ in range(2))
    log.append([registered_at(of_next(one))])
    clock.step(-250)
    assert min(of_next(one), of_next(other)) > began_us
    for offset_us in (-900, -500, 0, 500, 9_000):
        clock.offset_us = offset_us
        log.append([registered_at(of_next(one)) for _ in range(9)])
        last = of_next(one)
        log.append([registered_at(last)])
        assert of_next(other) > last
    clock.offset_us = 20_000
    log.got.clear()
    assert of_next(one) == of_next(other) == SYSTEM.now_us()
    assert log.got == []


@pytest.mark.parametrize("is_known_to_lie_ahead", [True, False])
def test_a_registration_does_not_go_by_a_look_that_began_before_it(clock: Clock, *, is_known_to_lie_ahead: bool) -> None:
    """What was acknowledged meanwhile at another process the look has not seen."""
    log = Stepping(clock, 0)
    log.append([registered_at(last := clock.us() + 250_000_000)])
    opened = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(9, "LOG_UNAVAILABLE", ""))
    if is_known_to_lie_ahead:
        assert of_next(opened) > last
    later, has_looked, has_come = last + 20_000_000, threading.Event(), threading.Event()

    def then() -> None:
        if not has_looked.is_set():
            log.append([registered_at(later)])
            has_looked.set()
            assert has_come.wait(WAIT_SECONDS)

    async def beside() -> int:
        log.then = then
        first = asyncio.create_task(opened.ready())
        await asyncio.to_thread(has_looked.wait, WAIT_SECONDS)
        second = asyncio.create_task(opened.ready())
        await asyncio.sleep(0)
        has_come.set()
        await asyncio.gather(first, second)
        return opened.next()

    assert asyncio.run(beside()) > later


def test_a_request_looks_at_the_log_once_while_versions_lie_ahead(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked twice: before its body was there, and then. Each look took up to seconds."""
    monkeypatch.setattr(versions, "_FOLLOWED_SECONDS", 600.0)
    log = Asked(clock.ms)
    started = start(log, admin_keys="boss")
    register(started)
    clock.step(-250)
    before = register(started)

    def erase(_: Started) -> int:
        return int(started.client.delete(PROFILE + "d", headers=BOSS).json()["result"]["version"])

    for ask in (register, erase):
        log.got.clear()
        log.append([registered_at(least := before + 1_000)])
        before = ask(started)
        assert before > least
        assert len(log.got) == 1


def test_a_clock_that_was_ahead_for_a_while_between_two_registrations(clock: Clock) -> None:
    """Nobody registered here meanwhile, and then more is registered there: it is seen by looking at the clock, not at requests."""
    log = MemoryLog(clock.ms)
    here = given_by(log)
    clock.step(100)
    here.look()
    log.append([registered_at(clock.us())])
    clock.step(-100)
    here.look()
    here.look()
    assert of_next(here) > clock.us() + 90_000_000
    log.append([registered_at(clock.us() + 110_000_000)])
    here._learned_at -= 1
    assert of_next(here) > clock.us() + 105_000_000


def test_a_clock_that_steps_back_little_by_little(clock: Clock) -> None:
    """The steps add up."""
    log = MemoryLog(clock.ms)
    here = given_by(log)
    log.append([registered_at(last := clock.us())])
    for _ in range(8):
        clock.offset_us -= 90_000
        here.look()
    assert of_next(here) > last


def test_a_clock_that_steps_back_by_less_than_a_second(clock: Clock) -> None:
    """A device registered at another process just before; nobody registered here for a minute, and the log is not followed."""
    log = MemoryLog(clock.ms)
    here = given_by(log)
    clock.step(100)
    here.look()
    log.append([registered_at(last := clock.us())])
    clock.offset_us -= 200_000
    assert of_next(here) > last


def test_a_pause_between_two_readings_of_the_clock_is_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread ran for so long; nor is a clock that is slowed down a little."""
    passed = iter([0.0, 0.0, 0.5, 0.5])
    now = itertools.chain([1_500_000, 1_500_000, 1_500_000, 2_000_000], itertools.repeat(1_950_000))
    monkeypatch.setattr(SYSTEM, "now_us", lambda: next(now))
    monkeypatch.setattr(SYSTEM, "monotonic", lambda: next(passed, 0.5))
    steps = ClockSteps(SYSTEM)
    assert [steps.back_us() for _ in range(3)] == [0, 0, 0]
    assert steps.count == 0


class Stepping(MemoryLog):
    """The clock steps back once, while it is asked what it took. then: is called each time after that."""

    def __init__(self, machine: Clock, seconds: int) -> None:
        super().__init__(machine.ms)
        self._machine, self._steps = machine, [seconds]
        self.then: Callable[[], object] = list

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        found = [*super().taken_since(ms, count, seen, but)]
        self._machine.step(-sum(self._steps))
        self._steps.clear()
        self.then()
        return iter(found)


def test_a_clock_that_steps_back_while_the_log_is_asked(clock: Clock) -> None:
    """What the log tells is compared with the clock as it is then, not as it was when the log was asked."""
    log = Stepping(clock, 100)
    log.append([registered_at(last := clock.us())])
    opened = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(2, "LOG_UNAVAILABLE", ""))

    async def given() -> int:
        await opened.ready()
        return opened.next()

    async def given_at_once() -> list[int]:
        return [*await asyncio.gather(given(), given())]

    assert min(asyncio.run(given_at_once())) > last


def test_a_log_that_takes_long_to_tell(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it without a bound, and none asks it a second time meanwhile."""
    told = threading.Event()
    asked = []

    class Slow(MemoryLog):
        def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
            asked.append(ms)
            told.wait(60)
            return super().taken_since(ms, count, seen, but)

    monkeypatch.setattr(versions, "_PATIENCE_SECONDS", 0.02)
    opened = versions.Versions(Slow(clock.ms), DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(2, "LOG_UNAVAILABLE", ""))

    async def impatient() -> None:
        for _ in range(2):
            with pytest.raises(RequestError, match="still read") as refusal:
                await opened.ready()
            assert (refusal.value.status, refusal.value.retry_after_seconds) == (503, 2)
        told.set()
        monkeypatch.setattr(versions, "_PATIENCE_SECONDS", 60)
        await opened.ready()

    asyncio.run(impatient())
    assert len(asked) == 1


def test_a_stop_does_not_wait_for_a_look_at_the_log(tmp_path: Path) -> None:
    """With a million records in the last minutes it took 13.5 s, and who waited for the look got no answer.

    An erase asks: its request is whole with its head, and only whole ones are answered at a stop.
    """
    began, answered = threading.Event(), []

    class Long(MemoryLog):
        def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
            del count, seen, but
            began.set()
            for offset in range(1_000):
                SYSTEM.sleep(0.02)
                yield Record(b"{}", 0, offset, ms, ms, None)

    settings = {"data_dir": str(tmp_path), "listen": "127.0.0.1:0", "admin_listen": "127.0.0.1:0", "admin_keys": "boss"}
    stores = Stores(MemoryCache(), SqliteDatabase(tmp_path / "profile.db"))
    with api(load(settings, {}).settings, Long(), lambda: stores, Metrics("api")) as (public, _):
        waits = threading.Thread(target=lambda: answered.append(httpx.delete(public + PROFILE + "d", headers=BOSS, timeout=30)))
        waits.start()
        assert began.wait(10)
        stopped_at = SYSTEM.monotonic()
    took = SYSTEM.monotonic() - stopped_at
    waits.join()
    assert_refused(answered[0], 503, "LOG_UNAVAILABLE")
    assert took < 5


class Asked(MemoryLog):
    """Keeps how many records each look got."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self.got: list[int] = []

    def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
        found = [*super().taken_since(ms, count, seen, but)]
        self.got.append(len(found))
        return iter(found)


def test_a_log_that_is_followed_is_read_only_as_far_as_it_is_new(clock: Clock) -> None:
    """Else each look took seconds with many records of the last minutes, and registrations came in bursts until the clock was past."""
    log = Asked(clock.ms)
    here = given_by(log)
    log.append([registered_at(clock.us() + 1) for _ in range(3_000)])
    clock.step(-60)
    of_next(here)
    assert log.got[1:] == [3_000]
    for new in (0, 900, 1_100, 0):
        log.append([registered_at(version := clock.us() + 61_000_000 + new), *[registered_at(1_500_000_000_000_000)] * new])
        log.got.clear()
        here._learned_at -= 1
        here.look()
        assert of_next(here) > version
        assert log.got == [1 + 1 + new]  # with the last one that it had seen


def test_a_log_that_is_followed_and_made_anew_is_read_from_its_beginning(clock: Clock) -> None:
    """Its records stand where others were seen."""
    log = MemoryLog(clock.ms)
    here = given_by(log)
    log.append([registered_at(clock.us())] * 10)
    clock.step(-60)
    of_next(here)
    log.records.clear()
    clock.offset_us += 1_000
    log.append([registered_at(last := clock.us() + 90_000_000), *[registered_at(clock.us())] * 20])
    here._learned_at -= 1
    here.look()
    assert of_next(here) > last


def test_a_process_that_starts_while_versions_lie_ahead_follows_the_others(clock: Clock) -> None:
    """Another one, whose clock was ahead too, goes on giving: what was registered here 3 s later had lower versions than there."""
    log = MemoryLog(clock.ms)
    clock.step(120)
    there = given_by(log)
    log.append([registered_at(of_next(there))])
    clock.step(-120)
    here = given_by(log)
    for _ in range(3):
        there_last = max(of_next(there) for _ in range(5))
        log.append([registered_at(there_last)])
        here._learned_at -= 1
        here.look()
        assert of_next(here) > there_last


def test_the_log_s_own_clock_may_have_stepped_back(clock: Clock) -> None:
    """Another producer's records hid what was given before that: after a restart versions went back by 49 s."""
    log = MemoryLog(clock.ms)
    clock.step(400)
    last = of_next(given_by(log))
    log.append([registered_at(last)])
    clock.step(-400)
    for _ in range(35):
        clock.step(10)
        log.append([b'{"device_id":"o","api_last_updated_on":%d}' % clock.ms()] * 300)
    assert of_next(given_by(log)) > last


def test_a_clock_that_steps_back_again_shows_what_was_seen_before(clock: Clock) -> None:
    """What another process has given was not past now at the first look."""
    log = Asked(clock.ms)
    here = given_by(log)
    log.append([registered_at(clock.us() - 2_000_000), registered_at(last := clock.us() - 1_000_000)])
    for seconds in (2, 60):
        clock.step(-seconds)
        here.look()
        assert of_next(here) > last
        assert log.got[-1] == 2


def test_a_producer_s_time_past_now_is_looked_at_again(clock: Clock) -> None:
    """It counts as taken now. So a version that the law refused at the first look is one that it takes at the next."""

    class Stamped(Asked):
        def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
            found = super().taken_since(ms, count, seen, but)
            return (record._replace(taken_ms=min(record.taken_ms, clock.ms())) for record in found)

    log = Stamped(clock.ms)
    here = given_by(log)
    here._last = here._taken = clock.us() - 1_000_000
    log.append([registered_at(last := clock.us())])
    clock.step(-400)
    log.append([registered_at(1_500_000_000_000_000)] * 1_100)
    here.look()
    asyncio.run(here.ready())
    clock.step(200)
    here._learned_at -= 1
    here.look()
    assert of_next(here) > last


def given_by(log: MemoryLog) -> versions.Versions:
    """The versions of a process, which knows the log's last one."""
    opened = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(1, "LOG_UNAVAILABLE", ""))
    of_next(opened)
    return opened


def of_next(opened: versions.Versions) -> int:
    """As for a registration."""
    asyncio.run(opened.ready())
    return opened.next()


def registered_at(version: int) -> bytes:
    """What another process writes."""
    return b'{"device_id":"d","version":%d}' % version


def test_a_clock_is_looked_at_while_nobody_asks(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice a second."""
    looked: list[None] = []
    monkeypatch.setattr(versions.Versions, "look", lambda self: looked.append(None))
    start(MemoryLog())
    until(lambda: len(looked) > 1)


def test_a_clock_that_steps_back_while_a_registration_is_written(start: Start, clock: Clock) -> None:
    """It is not acknowledged: the log took it at a time at which the law refuses it."""

    class Stepping(MemoryLog):
        def append(self, *given: Any, **named: Any) -> None:
            clock.step(-600)
            super().append(*given, **named)

    assert_refused(start(Stepping(clock.ms)).client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")


def test_a_clock_that_steps_back_and_on_while_a_journal_is_written(
    start: Start, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right before and after, so only the journal's own time shows that the law refuses what was written."""
    with closing(journal(tmp_path)) as log:
        started = start(log)

        def append(*given: Any) -> int:
            clock.step(-600)
            try:
                return Journal.append(log, *given)
            finally:
                clock.step(600)

        with monkeypatch.context() as stepping:
            stepping.setattr(log, "append", append)
            assert_refused(started.client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
        monkeypatch.setattr(versions, "_MEASURED_SECONDS", 0.0)
        assert register(started)


def test_a_machine_that_sleeps_while_a_journal_is_written(
    start: Start, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour passes between the write and the answer, as on a laptop that is closed: nobody is refused for it."""
    with closing(journal(tmp_path)) as log:
        started = start(log)

        def append(*given: Any) -> int:
            first = Journal.append(log, *given)
            clock.step(3600)
            return first

        monkeypatch.setattr(log, "append", append)
        assert [register(started) for _ in range(3)]


def test_a_registration_is_guarded_by_the_time_at_which_the_log_took_it(
    start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log's clock is behind by a little more than the law bears, and a second passes until the answer."""
    began_us = clock.us()
    monkeypatch.setattr(clock, "us", lambda: began_us + clock.offset_us)
    monkeypatch.setattr(SYSTEM, "now_us", clock.us)

    class Late(MemoryLog):
        def append(self, *given: Any, **named: Any) -> None:
            super().append(*given, **named)
            clock.step(1)

        def taken_ms(self) -> Any:
            return self.records[-1].taken_ms

    log = Late(lambda: clock.ms() - 300_030)
    assert_refused(start(log).client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
    assert len(log.records) == 1


def test_a_clock_before_2010_gives_no_versions(start: Start, clock: Clock) -> None:
    """A board without a battery for its clock starts in 1970."""
    clock.offset_us = -clock.us()
    started = start(MemoryLog(clock.ms))
    assert_refused(started.client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
    assert started.lines() == []


def memory(directory: Path) -> MemoryLog:
    del directory
    return MemoryLog()


def journal(directory: Path) -> Journal:
    return Journal(directory / "device-profile.log", segment_bytes=1 << 20, retention_seconds=3600)


@pytest.mark.parametrize("make_log", [memory, journal])
def test_started_again_with_the_clock_behind_versions_go_on(
    start: Start, clock: Clock, tmp_path: Path, make_log: Callable[[Path], Any]
) -> None:
    """The last one is taken from the log: a later registration never loses to an earlier one of the same process line."""
    with closing(make_log(tmp_path)) as log:
        before = register(start(log))
        clock.step(-200)
        assert register(start(log)) == before + 1
        clock.step(-200)
        assert_refused(start(log).client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")


def test_after_a_clock_that_was_far_ahead_a_setting_lets_registrations_go_on(start: Start, clock: Clock) -> None:
    """As docs/faults.md says, and the error line."""
    log = MemoryLog(clock.ms)
    clock.step(86_400)
    ahead = register(start(log))
    clock.step(-86_400)
    with structlog.testing.capture_logs() as told:
        assert_refused(start(log).client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")
    (line,) = told
    assert "max_clock_ahead_seconds" in line["hint"]
    started = start(log, max_clock_ahead_seconds=line["version_ahead_seconds"] + 60)
    assert [register(started), register(started)] == [ahead + 1, ahead + 2]


@pytest.mark.parametrize("make_log", [memory, journal])
def test_many_erases_do_not_hide_the_last_version(
    start: Start, clock: Clock, tmp_path: Path, make_log: Callable[[Path], Any]
) -> None:
    """A thousand erases came after the last registration; then the clock was set back, and the API started again."""
    with closing(make_log(tmp_path)) as log:
        before = register(start(log))
        log.append([erase_line(f"e{number}", clock.us()) for number in range(1000)])
        clock.step(-200)
        assert register(start(log)) > before
        log.append([erase_line(f"e{number}", clock.us()) for number in range(1000)])
        clock.step(-600)
        assert_refused(start(log).client.post(REGISTER + "d", json=BODY), 503, "CLOCK_STEPPED_BACK")


def of_last_year(count: int) -> list[bytes]:
    """Lines without a version, each of another device."""
    return [b'{"device_id":"o%d","api_last_updated_on":1750000000000}' % number for number in range(count)]


@pytest.mark.parametrize("make_log", [memory, journal])
def test_many_old_lines_do_not_hide_the_last_version(
    start: Start, clock: Clock, tmp_path: Path, make_log: Callable[[Path], Any]
) -> None:
    """Lines of last year were appended after the last registration; then the clock was set back, and the API started again."""
    old = of_last_year(120_000)
    with closing(make_log(tmp_path)) as log:
        before = register(start(log))
        for begin in range(0, len(old), 10_000):
            log.append(old[begin : begin + 10_000])
        clock.step(-200)
        assert register(start(log)) == before + 1


@pytest.mark.parametrize("make_log", [memory, journal])
def test_old_lines_of_a_clock_set_right_do_not_hide_the_last_version(
    start: Start, clock: Clock, tmp_path: Path, make_log: Callable[[Path], Any]
) -> None:
    """The clock lay ahead, and was set right; lines of last year were appended after that; the API started again."""
    with closing(make_log(tmp_path)) as log:
        clock.step(240)
        before = register(start(log))
        clock.step(-240)
        log.append(of_last_year(1_100))
        assert register(start(log)) == before + 1


def test_what_the_law_refuses_erases_and_other_services_do_not_move_the_versions(start: Start, clock: Clock) -> None:
    """Else a line, an erase of a device that lies ahead, or another service's clock could move all registrations ahead."""
    log = MemoryLog()
    for ahead_seconds, more in ((3600, b""), (299, b',"erase":true')):
        version = clock.us() + ahead_seconds * 1_000_000
        log.append([b'{"device_id":"x","version":%d%s}' % (version, more), b"{"])
    log.append([b'{"device_id":"x","api_last_updated_on":%d}' % (clock.ms() + 299_000)])
    assert register(start(log)) == pytest.approx(clock.us(), abs=60_000_000)


def test_a_log_that_can_not_be_asked_is_asked_again(start: Start) -> None:
    """503 until it can: a version that may go back is never given."""

    class Away(MemoryLog):
        asked = 0

        def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
            self.asked += 1
            if self.asked < 3:
                raise Unavailable("it is away", "")
            return super().taken_since(ms, count, seen, but)

    started = start(Away())
    with structlog.testing.capture_logs() as told:
        for _ in range(2):
            assert_refused(started.client.post(REGISTER + "d", json=BODY), 503, "LOG_UNAVAILABLE")
    assert len(told) == 1
    assert register(started)


def put_ahead(directory: Path, seconds: int) -> int:
    """Give device d a row that lies so far ahead, as another job's clock might; its version."""
    return put(directory, b'{"device_id":"d","version":%d,"city":"Pune"}', seconds)


@pytest.mark.parametrize("back_seconds", [0, 3, 200])
def test_a_registration_after_an_erase_and_a_restart_is_later(start: Start, clock: Clock, back_seconds: int) -> None:
    """The clock stepped back before the erase. The registration had the erase's version, was acknowledged, and was gone."""
    log = MemoryLog(clock.ms)
    started = start(log, admin_keys="boss")
    register(started)
    clock.step(-back_seconds)
    erased = [started.client.delete(PROFILE + name, headers=BOSS).json()["result"]["version"] for name in ("d", "e", "d")]
    assert register(start(log)) > max(erased)


def test_an_erase_that_the_log_would_refuse_is_not_answered_as_done(start: Start, tmp_path: Path) -> None:
    """409 that says why, nothing logged, and registrations go on."""
    started = start(admin_keys="boss")
    put_ahead(tmp_path, 3600)
    answer = started.client.delete(PROFILE + "d", headers=BOSS)
    assert_refused(answer, 409, "PROFILE_AHEAD")
    assert "s past now" in answer.json()["params"]["errmsg"]
    assert started.lines() == []
    register(started, "other")


def test_an_erase_of_a_row_ahead_does_not_move_the_versions(start: Start, tmp_path: Path) -> None:
    """It is later than all that is known of its device; the next registration has a version by the clock."""
    started = start(admin_keys="boss")
    row = put_ahead(tmp_path, 200)
    erased = started.client.delete(PROFILE + "d", headers=BOSS).json()["result"]["version"]
    assert erased == row + 1
    assert msgspec.json.decode(started.lines()[-1]) == {"device_id": "d", "erase": True, "version": erased}  # no `given`
    assert register(started, "other") < row
    assert_the_law_takes(started.log.records, 2)


@pytest.mark.parametrize("seconds", [200, 3600])
def test_an_erase_looks_past_an_older_cache(start: Start, tmp_path: Path, seconds: int) -> None:
    """Another job wrote the row since the cache took it: the erase follows the row, or is refused, as without a cache."""
    started = start(admin_keys="boss")
    put_ahead(tmp_path, 0)
    assert started.client.get(PROFILE + "d").json()["result"]["profile"]
    row = put_ahead(tmp_path, seconds)
    assert started.client.get(PROFILE + "d").json()["result"]["version"] < row
    answer = started.client.delete(PROFILE + "d", headers=BOSS)
    if seconds == 200:
        assert answer.json()["result"]["version"] == row + 1
    else:
        assert_refused(answer, 409, "PROFILE_AHEAD")
        assert started.lines() == []


def assert_the_law_takes(records: Sequence[Record], count: int) -> None:
    """All of them, as an updater would read them."""
    assert len(records) == count
    for record in records:
        decode(record.value or b"", taken_ms=record.taken_ms)
