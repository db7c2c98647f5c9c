"""A connection's bounds in time, room for the next one, and the end: inside this process, with short times."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devicesync.api import protocol, requests
from devicesync.api.answers import Answer
from devicesync.api.connections import Door, Limits
from devicesync.api.serve import listen, serving
from tests.api.attacked import BODY, is_cut_off, post, pour, rest_of
from tests.api.conftest import Start
from tests.api.test_framing import connected
from tests.end_to_end.command import until

SHORT = 0.5
LIMITS = Limits()
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def test_a_client_that_takes_no_answers_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """After WRITE_SECONDS, whether it goes on sending or not."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", SHORT)
    started = start()
    with connected(started) as opened:
        pour(opened, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100, 4 << 20)
        assert is_cut_off(opened, b"x")


def test_a_client_that_asks_for_the_end_and_takes_no_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close does not wait for ever until all is taken."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", SHORT)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await Answer(200, b"x" * (8 << 20)).send(send)

    with served(large) as connect, connect() as opened:
        opened.sendall(LAST)
        time.sleep(2)
        assert len(rest_of(opened)) < 8 << 20


@pytest.mark.parametrize(
    ("ended", "more", "is_half_closed"),
    [(LAST, b"", False), (LAST, b"", True), (GET, b"", True), (GET, b"X\r\n\r\n", False), (GET, post(BODY)[:-1], True)],
)
def test_a_closed_connection_counts_until_its_answer_is_taken(
    monkeypatch: pytest.MonkeyPatch, ended: bytes, more: bytes, *, is_half_closed: bool
) -> None:
    """5,000 of one address, whose limit is 500, held 566 MiB of the system for as long as the client stayed."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", SHORT)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await Answer(200, b"x" * 60_000).send(send)

    door = Door(large)
    with served_by(door) as connect, connect() as honest, who_takes_little(honest.getpeername()) as opened:
        for client in (honest, opened):
            client.sendall(ended + more)
            if is_half_closed:
                client.shutdown(socket.SHUT_WR)
        assert len(rest_of(honest)) > 60_000
        until(lambda: not len(door))
        assert len(rest_of(opened)) < 60_000


def test_who_sends_junk_after_the_end_leaves_nothing_that_the_system_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just above the bound, so that all of it is read: 2,258 of one address, whose limit is 500, held 266 MiB for 30 s each."""
    monkeypatch.setattr(protocol, "MAX_LINGER_BYTES", 1000)

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await Answer(200, b"x" * 60_000).send(send)

    door = Door(large)
    with served_by(door) as connect, connect() as honest, who_takes_little(honest.getpeername()) as opened:
        opened.sendall(GET + b"X\r\n\r\n")
        assert opened.recv(1)
        time.sleep(0.2)  # until all of that is read, which nobody sees from here
        opened.sendall(b"j" * 1001)
        until(lambda: len(door) == 1)
        assert len(rest_of(opened)) < 60_000


def test_who_still_takes_an_answer_makes_no_room() -> None:
    """It was idle for longest: 130 slow clients lost their answers to an address that opened connections again and again."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await Answer(200, b"x" * 60_000).send(send)

    with served(large, Limits(2)) as connect, connect() as first, who_takes_little(first.getpeername()) as slow:
        first.close()
        slow.sendall(GET)
        begun = slow.recv(100)
        for _ in range(5):
            with connect("127.5.0.1") as churning:
                churning.sendall(GET[:5])
                with connect("127.5.0.1") as another:
                    another.sendall(LAST)
                    assert len(rest_of(another)) > 60_000
        slow.sendall(LAST)
        assert len(begun + rest_of(slow)) > 120_000


def test_who_was_answered_gets_the_answer_though_the_service_stops() -> None:
    """However slowly: the system gives it the rest."""

    async def large(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await Answer(200, b"x" * 60_000).send(send)

    for asked in (GET, LAST):
        with served(large) as connect:
            with connect() as found:
                opened = who_takes_little(found.getpeername())
            opened.sendall(asked)
            begun = opened.recv(100)
        with opened:
            assert len(begun + rest_of(opened)) > 60_000


def test_a_head_that_trickles_in_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first and a later one: no byte prolongs it."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", SHORT)
    started = start()
    for before in (b"", GET):
        with connected(started) as opened:
            opened.sendall(before)
            opened.sendall(b"GET / HTTP/1.1\r\nX-Y: ")
            assert is_cut_off(opened, b"z")


def test_a_body_that_trickles_in_is_refused_and_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """408, and the end, though the client goes on sending."""
    monkeypatch.setattr(requests, "BODY_SECONDS", SHORT)
    monkeypatch.setattr(protocol, "LINGER_SECONDS", SHORT)
    started = start()
    with connected(started) as opened:
        opened.sendall(post(b" " * 60_000)[:-60_000])
        assert is_cut_off(opened, b" ")
    with connected(started) as opened:
        opened.sendall(post(BODY)[:-1])
        assert rest_of(opened).startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_is_not_used_is_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """After KEEP_ALIVE_SECONDS; one that never asked anything after HEAD_SECONDS."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE_SECONDS", SHORT)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", SHORT)
    started = start()
    for before, answers in ((b"", 0), (GET, 1)):
        with connected(started) as opened:
            opened.sendall(before)
            assert rest_of(opened).count(b"HTTP/1.1 200 OK") == answers


def test_at_the_limit_of_an_address_the_longest_idle_makes_room(start: Start) -> None:
    """Not one that was used since."""
    started = start(max_connections_per_address=2)
    started.client.close()
    with connected(started) as first, connected(started) as second:
        assert [answer_on(each)[:12] for each in (first, second, first)] == [b"HTTP/1.1 404"] * 3
        with connected(started) as third:
            assert answer_on(third).startswith(b"HTTP/1.1 404")
            assert rest_of(second) == b""
            assert answer_on(first).startswith(b"HTTP/1.1 404")


def answer_on(opened: socket.socket) -> bytes:
    """A short answer, whole, on a connection that goes on."""
    opened.sendall(b"HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    parts = b""
    while not parts.endswith(b"\r\n\r\n"):
        part = opened.recv(65_536)
        assert part
        parts += part
    return parts


def test_trusted_proxies_have_no_limit_of_their_own(start: Start) -> None:
    """All devices come from there."""
    started = start(max_connections_per_address=2, trusted_proxies="127.0.0.0/8")
    with connected(started) as first, connected(started), connected(started):
        assert answer_on(first).startswith(b"HTTP/1.1 404")


def test_when_all_are_busy_the_next_is_told_to_come_again() -> None:
    """A request that is whole is never cut off for another."""
    go_on = threading.Event()

    app, come = _when(go_on)
    with served(app, Limits(2)) as connect, connect() as first, connect() as second:
        for each in (first, second):
            each.sendall(GET)
            assert come.acquire(timeout=20)
        with connect() as third:
            told = rest_of(third)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 2\r\n" in told
        go_on.set()
        for each in (first, second):
            assert each.recv(100).startswith(b"HTTP/1.1 200")


def test_when_one_address_has_most_and_is_busy_its_oldest_ends_for_another() -> None:
    """It is answered, with Connection: close, and its next request is not read; the other one is served at once."""
    go_on = threading.Event()

    app, come = _when(go_on)
    with served(app, Limits(2)) as connect, connect() as first, connect() as second:
        for each in (first, second):
            each.sendall(GET + GET)
            assert come.acquire(timeout=60)
        with connect("127.0.0.2") as third:
            third.sendall(GET)
            assert come.acquire(timeout=60)
            go_on.set()
            assert third.recv(100).startswith(b"HTTP/1.1 200")
        answers = rest_of(first)
        assert answers.count(b"HTTP/1.1 200") == answers.count(b"\r\nconnection: close\r\n") == 1
        assert second.recv(100).startswith(b"HTTP/1.1 200")


def test_a_connection_with_half_a_body_is_not_idle(start: Start) -> None:
    """Though it was used before: it makes no room for an address that holds as many."""
    started = start(max_connections=2)
    started.client.close()
    with connected(started) as half, connected(started, "127.0.0.2") as idle:
        for each in (half, idle):
            answer_on(each)
        half.sendall(post(BODY, b"Connection: close")[:-1])
        answer_on(idle)
        with connected(started, "127.0.0.3") as third:
            answer_on(third)
            assert rest_of(idle) == b""
            half.sendall(BODY[-1:])
            assert rest_of(half).startswith(b"HTTP/1.1 200")


def test_a_whole_request_is_answered_when_we_stop() -> None:
    """Connection: close; one that is half there is cut off."""
    go_on = threading.Event()
    app, come = _when(go_on)
    with served(app) as connect:
        whole, half = connect(), connect()
        half.sendall(GET[:-2])
        whole.sendall(GET + GET)
        assert come.acquire(timeout=20)
        threading.Timer(0.3, go_on.set).start()
    with whole, half:
        answers = rest_of(whole)
        assert answers.count(b"HTTP/1.1 200 OK") == 1
        assert b"\r\nconnection: close\r\n" in answers
        assert rest_of(half) == b""


def test_a_fault_of_an_application_is_a_500() -> None:
    """In the envelope; and the next request is served."""

    async def faulty(scope: Any, receive: Any, send: Any) -> None:
        del receive
        if scope["path"] == "/":
            raise RuntimeError
        await Answer(200, b"").send(send)

    with served(faulty) as connect, connect() as opened:
        opened.sendall(GET + GET.replace(b" / ", b" /x ").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        got = rest_of(opened)
        assert (got.count(b"HTTP/1.1 500 "), got.count(b"HTTP/1.1 200 ")) == (1, 1)


class Idle:
    def look(self, now: float) -> None: ...
    def has_taken_all(self) -> bool:
        return True

    def cut_off(self) -> None: ...

    def close(self) -> None: ...
    def stop(self) -> None: ...


def test_a_network_of_ipv6_addresses_is_one_address() -> None:
    """A /64 is what one client has."""
    door = Door(None, Limits(10, 1))
    assert all(door.admit(Idle(), address, 0.0) for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:1::", "fe80::1%eth0"))
    assert len(door) == 2
    assert door.admit(Idle(), "2001:db8:0:1::1", 0.0)
    assert len(door) == 3


def _when(go_on: threading.Event) -> tuple[Any, threading.Semaphore]:
    """An application that answers when told to, and a count of the requests that have come."""
    come = threading.Semaphore(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        come.release()
        await asyncio.to_thread(go_on.wait, 20)
        await Answer(200, b"").send(send)

    return app, come


@contextmanager
def served(app: Any, limits: Limits = LIMITS) -> Iterator[Any]:
    """An application, served; what connects to it."""
    with served_by(Door(app, limits)) as connect:
        yield connect


@contextmanager
def served_by(door: Door) -> Iterator[Any]:
    """A door, served; what connects to it."""
    opened = listen("listen", "127.0.0.1:0")
    with opened, serving(lambda: [(door, opened)], lambda: None):
        yield lambda source="127.0.0.1": socket.create_connection(opened.getsockname(), timeout=60, source_address=(source, 0))


def who_takes_little(door: tuple[str, int]) -> socket.socket:
    """A connection whose system takes 2 KB of an answer, and the rest when it is read."""
    opened = socket.socket()
    opened.settimeout(60)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    opened.connect(door)
    return opened


def test_open_connections_are_a_metric(start: Start) -> None:
    """Of the API; the admin port's are not among them."""
    started = start()
    with connected(started) as first, connected(started) as second:
        assert [answer_on(each)[:12] for each in (first, second)] == [b"HTTP/1.1 404"] * 2
        assert "devicesync_api_connections 2.0" in started.admin.get("/metrics").text


def test_who_made_room_is_forgotten_at_once() -> None:
    """Its answer may still be written before the event loop has closed it; the next one in finds its way all the same."""
    door = Door(None, Limits(1, 1))
    first = Idle()
    assert door.admit(first, "10.0.0.1", 0.0)
    assert door.admit(Idle(), "10.0.0.2", 0.0)
    door.waits(first, is_idle=True)
    assert door.admit(Idle(), "10.0.0.2", 0.0)
    assert (len(door), door.busy_count) == (1, 0)
