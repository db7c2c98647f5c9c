"""Connections without end: idle, half open, refused, unread. The API goes on serving, and SIGTERM stays quick and quiet."""

import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from devicesync.api.connections import MOST_ENDING
from tests.api.attacked import BODY, Attacked, many, post, pour, rest_of
from tests.end_to_end.command import until

OTHER = "127.0.0.2"
GROWTH_MB = 100
KIB = 1 << 10

Attack = Callable[..., Attacked]


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Attack]:
    """Start `up` on the embedded default, with these settings."""
    with ExitStack() as opened:

        def begin(**settings: object) -> Attacked:
            lines = (
                f'{name} = "{value}"\n' if isinstance(value, str) else f"{name} = {value}\n" for name, value in settings.items()
            )
            (tmp_path / "devicesync.toml").write_text("".join(lines))
            attacked = Attacked(tmp_path, "up")
            opened.callback(attacked.kill)
            return attacked

        yield begin


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough of them for our own side of 1,500 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4096:
        pytest.skip("the hard limit of open files is below 4096")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("descriptors")
def test_1500_idle_connections_of_one_address_stop_nobody(attack: Attack) -> None:
    """It holds 500 of them at most; its own next one, others and the admin port are served, and one line says it."""
    attacked = attack()
    before, sockets = attacked.rss_mb(), attacked.sockets()
    with many(attacked, 1500):
        assert attacked.registers()
        assert attacked.registers(OTHER)
        assert attacked.ask(b"GET /livez HTTP/1.0\r\n\r\n", attacked.admin_port).startswith(b"HTTP/1.1 200")
        assert attacked.sockets() - sockets <= 502
        assert attacked.rss_mb() - before < GROWTH_MB
    assert attacked.stop()[1].count("max_connections_per_address") == 1


def test_idle_connections_of_many_addresses_stop_nobody(attack: Attack) -> None:
    """The limit in all holds too."""
    attacked = attack(max_connections=50, max_connections_per_address=20)
    sockets = attacked.sockets()
    with ExitStack() as opened:
        for number in range(10):
            opened.enter_context(many(attacked, 20, f"127.0.1.{number + 1}"))
        assert attacked.registers(OTHER)
        assert attacked.sockets() - sockets <= 51
    assert attacked.stop()[1].count("max_connections is reached") == 1


@pytest.mark.parametrize(
    "half", [b"GET / HTTP/1.1\r\nX", post(BODY)[:-1], post(BODY, b"Expect: 100-continue")[:-14]], ids=["head", "body", "continue"]
)
def test_half_requests_of_one_address_stop_nobody(attack: Attack, half: bytes) -> None:
    """They make room like idle ones."""
    attacked = attack(max_connections_per_address=50)
    sockets = attacked.sockets()
    with many(attacked, 200) as opened:
        for each in opened:
            each.sendall(half)
        assert attacked.registers()
        assert attacked.sockets() - sockets <= 51


@pytest.mark.parametrize("settings", [{}, {"register_keys": "key", "rate_limit_per_minute": 600}], ids=["served", "refused"])
def test_connections_that_are_always_busy_stop_nobody(attack: Attack, settings: dict[str, object]) -> None:
    """Two addresses hold all that there may be, each with whole requests waiting, read or refused: none of them is ever idle."""
    attacked = attack(max_connections=40, max_connections_per_address=20, **settings)
    sockets = attacked.sockets()
    with many(attacked, 20, "127.0.1.1") as first, many(attacked, 20, "127.0.1.2") as second, busy([*first, *second]):
        for _ in range(20):
            assert attacked.ask(post(BODY, b"X-API-Key: key", b"Connection: close"), source=OTHER).startswith(b"HTTP/1.1 200")
            assert attacked.sockets() - sockets <= 41 + MOST_ENDING


@contextmanager
def busy(attackers: list[socket.socket]) -> Iterator[None]:
    """Each of these always has some hundred requests waiting."""
    over = threading.Event()
    request = b"GET /v1/device/profile/d HTTP/1.1\r\nHost: x\r\n\r\n"

    def pump() -> None:
        with selectors.DefaultSelector() as selector:
            for each in attackers:
                selector.register(each, selectors.EVENT_READ, each)
            while not over.is_set():
                for key, _ in selector.select(0.1):
                    with suppress(OSError):
                        answers = key.data.recv(65_536)
                        if answers:
                            key.data.sendall(request * answers.count(b"HTTP/1.1 "))
                        else:
                            selector.unregister(key.data)

    for each in attackers:
        each.sendall(request * 300)
    thread = threading.Thread(target=pump)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


REFUSED_EARLY = {
    "401": post(BODY),
    "404": post(BODY, path=b"/nothing"),
    "400": post(BODY, path=b"/v1/device/register/%00"),
    "413": post(BODY).replace(b"Length: 14", b"Length: 70000"),
    "GET": post(BODY).replace(b"POST", b"GET"),
    "DELETE": post(BODY, path=b"/v1/device/profile/d").replace(b"POST", b"DELETE"),
}


@pytest.mark.parametrize("rest", [b"", BODY[-1:], BODY * 1000], ids=["nothing more", "the rest", "more than the rest"])
def test_a_request_refused_before_its_body_is_whole_is_answered_and_closed(attack: Attack, rest: bytes) -> None:
    """Thirty of each: `Connection: close`, an end, and soon no socket left, though the client never closes."""
    attacked = attack(register_keys="key")
    sockets = attacked.sockets()
    requests = [*REFUSED_EARLY.values()] * 30
    with many(attacked, len(requests)) as opened:
        for each, request in zip(opened, requests, strict=True):
            each.sendall(request[:-1])
        for each in opened:
            answer = rest_of(each)
            assert answer.startswith(b"HTTP/1.1 4"), answer
            assert b"\r\nconnection: close\r\n" in answer
            pour(each, rest, len(rest))
        until(lambda: attacked.sockets() <= sockets)


@pytest.mark.parametrize("path", [b"/v1/device/profile/d", b"/", b"/openapi.json", b"/nothing"])
def test_pipelined_requests_whose_answers_nobody_reads(attack: Attack, path: bytes) -> None:
    """What is not answered is not read: little memory, others are served, SIGTERM is quick."""
    attacked = attack()
    before = attacked.rss_mb()
    request = (b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path) * 500
    with many(attacked, 40) as opened:
        for each in opened:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(4):
            for each in opened:
                pour(each, request, 256 * KIB, seconds=0.05)
        assert attacked.registers()
        assert attacked.rss_mb() - before < GROWTH_MB
        took, told = attacked.stop()
    assert took < 10
    assert "Traceback" not in told


def test_sigterm_with_200_half_bodies_is_quick_and_quiet(attack: Attack) -> None:
    """No half request is worth a word: 300 KB of tracebacks before."""
    attacked = attack()
    with many(attacked, 200) as opened:
        for each in opened:
            each.sendall(post(BODY)[:-1])
        assert attacked.registers()
        took, told = attacked.stop()
    assert took < 10
    assert len(told) < 4000, told


def test_the_soft_limit_of_descriptors_is_raised(attack: Attack) -> None:
    """As far as the hard one lets, for max_connections and what is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len([*Path("/proc/self/fd").iterdir()]) + 100, hard))
    try:
        attacked = attack()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wanted = 2256 if hard == resource.RLIM_INFINITY else min(2256, hard)
    assert resource.prlimit(attacked.process.pid, resource.RLIMIT_NOFILE)[0] == wanted


def test_one_line_says_that_descriptors_have_run_out(attack: Attack) -> None:
    """Whatever took them; when some are there again, connections are served again."""
    attacked = attack()
    pid = attacked.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    time.sleep(2)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert until(attacked.registers)
    assert attacked.stop()[1].count("no file descriptors are left") == 1
