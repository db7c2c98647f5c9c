"""A clock that steps back while the log is asked, a body comes, or a store is read."""

import asyncio
import json
import socket

import pytest

from devicesync.api import versions
from devicesync.api.fuse import Fuse
from devicesync.api.profiles import Profiles
from devicesync.law.state import State
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.memory import MemoryLog
from tests.api.conftest import Clock, Start
from tests.api.test_http import PROFILE, REGISTER
from tests.api.test_versions import BOSS, Stepping, of_next, register, registered_at


def test_a_step_that_is_noticed_while_the_log_is_asked(clock: Clock) -> None:
    """Another request, or the look at the clock twice a second, used it up: the answer from before it counted for good."""
    log = Stepping(clock, 200)
    log.append([registered_at(last := clock.us())])
    opened = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(2, "LOG_UNAVAILABLE", ""))
    log.then = opened.look
    assert of_next(opened) > last
    log.append([registered_at(later := last + 20_000_000)])  # by another process
    opened._learned_at -= 1
    assert of_next(opened) > later


def test_what_was_on_its_way_into_the_log_when_the_clock_stepped_back(clock: Clock) -> None:
    """The look at the log came before it, and told nothing: it was the last one."""
    log = MemoryLog(clock.ms)
    here = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(2, "LOG_UNAVAILABLE", ""))
    asyncio.run(here.ready())
    given = clock.us()  # by another process, whose disk is slow
    clock.step(-100)
    here.look()
    assert of_next(here) < given - 90_000_000
    here.look()
    log.append([registered_at(given)])
    here._learned_at -= 1
    here.look()
    assert of_next(here) > given


def test_what_a_former_process_was_still_writing(clock: Clock) -> None:
    """It is stopped while this one starts, after its clock was set right."""
    log = MemoryLog(clock.ms)
    here = versions.Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, Fuse(2, "LOG_UNAVAILABLE", ""))
    given = clock.us() + 100_000_000
    assert of_next(here) < given
    here.look()
    log.append([registered_at(given)])
    here._learned_at -= 1
    here.look()
    assert of_next(here) > given


def test_a_body_that_takes_its_time(start: Start, clock: Clock) -> None:
    """What was known when its head came is not what counts when its version is given."""
    log = MemoryLog(clock.ms)
    one, other = start(log), start(log)
    register(one, "another")
    body = json.dumps({"request": {}}).encode()
    head = f"POST {REGISTER}d HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((one.client.base_url.host, one.client.base_url.port or 0)) as slow:
        slow.sendall(head.encode() + body[:3])
        assert one.client.get(PROFILE + "d").is_success  # by now it has the head
        before = register(other)
        clock.step(-200)
        slow.sendall(body[3:])
        answer = slow.recv(10_000)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["version"] > before


def test_a_store_that_takes_its_time_before_an_erase(start: Start, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a body."""
    log = MemoryLog(clock.ms)
    one, other = start(log, admin_keys="boss"), start(log)
    register(one)
    before = []
    read = Profiles.read_anew

    async def slowly(profiles: Profiles, device_id: str) -> State:
        before.append(await asyncio.to_thread(register, other, "d"))
        clock.step(-200)
        return await read(profiles, device_id)

    monkeypatch.setattr(Profiles, "read_anew", slowly)
    answer = one.client.delete(PROFILE + "d", headers=BOSS)
    assert answer.json()["result"]["version"] > before[0]
