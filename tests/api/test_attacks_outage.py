"""A log or a store that does not answer: requests wait for it in vain for a while at most, and keep nobody else waiting."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from devicesync.api import fuse, profiles, writer
from devicesync.api.answers import RequestError
from devicesync.cache.memory import MemoryCache
from devicesync.errors import DevicesyncError, NewerData, Unavailable, WrongUse
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from tests.api.attacked import BODY
from tests.api.conftest import Start, Started, crowd
from tests.api.test_http import PROFILE, REGISTER, assert_refused
from tests.end_to_end.command import until

READ = b"GET /v1/device/profile/d HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[Any]]]:
    """A cache that answers nobody until the event is set, and a list that grows with each read that begins."""
    thaw, begun = threading.Event(), list[Any]()
    read = MemoryCache.read
    monkeypatch.setattr(profiles, "ANSWER_SECONDS", 3600)

    def wait(self: MemoryCache, device_ids: Any) -> Any:
        begun.append(device_ids)
        thaw.wait()
        return read(self, device_ids)

    monkeypatch.setattr(MemoryCache, "read", wait)
    yield thaw, begun
    thaw.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any failure is a slow one, and a fuse stays blown."""
    monkeypatch.setattr(fuse, "SLOW_SECONDS", 0)
    monkeypatch.setattr(writer, "SLOW_SECONDS", 0)
    monkeypatch.setattr(fuse, "_PAUSE_SECONDS", 3600)


@pytest.mark.usefixtures("impatient")
def test_a_frozen_store_is_not_asked_for_each_read(
    start: Start, frozen: tuple[threading.Event, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first read waits. The others are refused at once, until one that is let through has worked."""
    thaw, begun = frozen
    monkeypatch.setattr(profiles, "ANSWER_SECONDS", 0.2)
    started = start()
    for _ in range(20):
        assert_refused(started.client.get(PROFILE + "d"), 503, "STORE_UNAVAILABLE")
    assert len(begun) == 1
    assert started.client.post(REGISTER + "d", content=BODY).status_code == 200
    thaw.set()
    monkeypatch.setattr(fuse, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(profiles, "ANSWER_SECONDS", 3600)
    until(lambda: started.client.get(PROFILE + "d").status_code == 200)


def test_reads_whose_clients_are_gone_are_forgotten(start: Start, frozen: tuple[threading.Event, list[Any]]) -> None:
    """Only the one that has begun is still made when the store answers again. A reset connection counts for no limit."""
    thaw, begun = frozen
    started = start()
    with crowd(started, READ, 50):
        until(lambda: len(begun) == 1)
        until(lambda: gauge(started, "connections") == 50)
    until(lambda: gauge(started, "connections") == 0)
    thaw.set()
    assert started.client.get(PROFILE + "d").status_code == 200
    assert len(begun) <= 2


def test_reads_that_wait_leave_connections_for_registrations(start: Start, frozen: tuple[threading.Event, list[Any]]) -> None:
    """Three quarters of the connections may wait for the stores. Others are refused at once."""
    _, begun = frozen
    started = start(max_connections=20)
    with crowd(started, READ, 15):
        until(lambda: len(begun) == 1)
        until(lambda: gauge(started, "connections") == 15)
        until(lambda: started.client.get(PROFILE + "d").status_code == 503)
        assert started.client.post(REGISTER + "d", content=BODY).status_code == 200


@pytest.mark.parametrize("error", [Unavailable, WrongUse, NewerData])
def test_reads_that_fail_fill_no_log(start: Start, monkeypatch: pytest.MonkeyPatch, error: type[DevicesyncError]) -> None:
    """It is said once, and that it works again; not for each read, nor at each turn of a store that works now and then."""
    is_away = True
    read = MemoryCache.read

    def fail(self: MemoryCache, device_ids: Any) -> Any:
        if is_away:
            raise error("it is away", "")
        return read(self, device_ids)

    monkeypatch.setattr(MemoryCache, "read", fail)
    started = start()
    with structlog.testing.capture_logs() as told:
        for is_away in (True, True, False, True, False):
            assert started.client.get(PROFILE + "d").status_code == (503 if is_away else 200)
    assert [line["event"] for line in told] == ["a store can't be read", "the stores can be read again"]


class Frozen(MemoryLog):
    """A log that answers nobody until it is told to, and then that it took nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.thaw = threading.Event()

    def append(self, *given: Any, **named: Any) -> None:
        del given, named
        self.asked += 1
        self.thaw.wait()
        raise Unavailable("it is away", "")


@pytest.mark.usefixtures("impatient")
def test_a_frozen_log_is_not_asked_for_each_registration(start: Start) -> None:
    """Those that came while it was asked are refused with those that it was asked for; and then each at once."""
    log = Frozen()
    started = start(log)
    with ThreadPoolExecutor(5) as clients:
        answers = [clients.submit(started.client.post, REGISTER + "d", content=BODY)]
        until(lambda: log.asked == 1)
        answers += [clients.submit(started.client.post, REGISTER + "d", content=BODY) for _ in range(4)]
        until(lambda: gauge(started, "waiting_for_log") == 4)
        log.thaw.set()
        for answer in answers:
            assert_refused(answer.result(), 503, "LOG_UNAVAILABLE")
    assert_refused(started.client.post(REGISTER + "d", content=BODY), 503, "LOG_UNAVAILABLE")
    assert log.asked == 1


@pytest.mark.usefixtures("impatient")
def test_a_log_that_is_away_is_not_asked_for_its_last_version_by_each(start: Start) -> None:
    """Kafka's client takes 10 s to say so."""

    class Away(MemoryLog):
        asked = 0

        def taken_since(self, ms: int, count: int, seen: Mapping[int, int], but: Collection[int] = ()) -> Iterator[Record]:
            del ms, count, seen, but
            self.asked += 1
            raise Unavailable("it is away", "")

    log = Away()
    started = start(log)
    for _ in range(5):
        assert_refused(started.client.post(REGISTER + "d", content=BODY), 503, "LOG_UNAVAILABLE")
    assert log.asked == 1


def test_one_call_at_a_time_tries_a_blown_fuse(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a failure that comes quickly blows none."""
    del impatient

    async def attempts() -> None:
        guarded = fuse.Fuse(9, "AWAY", "")

        def fail() -> None:
            with pytest.raises(RequestError), guarded.call():
                raise Unavailable("it is away", "")

        fail()
        assert not works(guarded.call)
        monkeypatch.setattr(fuse, "_PAUSE_SECONDS", 0)
        with guarded.call():
            assert not works(guarded.call)
        with guarded.call():
            assert works(guarded.call)
        monkeypatch.setattr(fuse, "SLOW_SECONDS", 3600)
        monkeypatch.setattr(fuse, "_PAUSE_SECONDS", 3600)
        fail()
        assert works(guarded.call)

    asyncio.run(attempts())


def works(call: Callable[[], Any]) -> bool:
    """Whether a call is let through."""
    try:
        with call():
            return True
    except RequestError:
        return False


def gauge(started: Started, name: str) -> int:
    """What the API says of itself."""
    lines = [line.split() for line in started.admin.get("/metrics").text.splitlines()]
    return int(float(next(line[1] for line in lines if line[:1] == [f"devicesync_api_{name}"])))
