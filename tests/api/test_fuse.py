"""Who finds room where all that may wait do."""

import asyncio
import threading
from contextlib import ExitStack
from typing import Any

from devicesync.api.answers import RequestError
from devicesync.api.clients import Address, parsed
from devicesync.api.fuse import Fuse
from devicesync.log.memory import MemoryLog
from tests.api.attacked import BODY
from tests.api.conftest import Start, crowd
from tests.api.test_attacks_outage import gauge
from tests.api.test_http import REGISTER
from tests.end_to_end.command import until

ONE, TWO, LAST = (parsed(address) for address in ("198.51.100.1", "198.51.100.2", "2001:db8::1"))


def has_room(fuse: Fuse, client: Address | None) -> bool:
    """Whether one more call of this client is let through."""
    try:
        with fuse.call(client):
            return True
    except RequestError:
        return False


def test_above_the_limit_whoever_has_fewer_has_room() -> None:
    """Four addresses kept all others out, whose every registration found the room taken."""

    async def filled() -> None:
        fuse = Fuse(6, "BUSY", "")
        with ExitStack() as opened:
            for client in (ONE, TWO) * 3:
                opened.enter_context(fuse.call(client))
            assert [has_room(fuse, client) for client in (ONE, TWO, LAST)] == [False, False, True]
            opened.enter_context(fuse.call(LAST))  # 7 under way of 3: each has 2.3
            assert [has_room(fuse, client) for client in (ONE, LAST)] == [False, True]
            opened.enter_context(fuse.call(LAST))
            assert not has_room(fuse, LAST)
        assert has_room(fuse, ONE)

    asyncio.run(filled())


def test_a_third_above_the_limit_nobody_has_room() -> None:
    """Network after network brought as many as the limit: what waited for a silent Kafka took 436 MiB."""

    async def filled() -> None:
        fuse = Fuse(30, "BUSY", "")
        with ExitStack() as opened:
            for number in range(100):
                client = parsed(f"198.51.100.{number}")
                while has_room(fuse, client):
                    opened.enter_context(fuse.call(client))
            assert fuse._count == 40

    asyncio.run(filled())


def test_where_each_has_one_the_limit_stands() -> None:
    """As where the log hangs, and every device waits for it."""

    async def filled() -> None:
        fuse = Fuse(3, "BUSY", "")
        with ExitStack() as opened:
            for number in range(3):
                opened.enter_context(fuse.call(parsed(f"198.51.100.{number}")))
            assert not has_room(fuse, LAST)

    asyncio.run(filled())


class Slow(MemoryLog):
    """A log that takes its time: nobody is answered before `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.is_asked = threading.Event(), threading.Event()

    def append(self, *given: Any, **named: Any) -> None:
        self.is_asked.set()
        self.go.wait()
        super().append(*given, **named)


def test_a_busy_address_keeps_no_other_s_registration_out(start: Start) -> None:
    """It has as many under way as may be, again and again; the other one has a single one."""
    log = Slow()
    started = start(log, max_connections=20)
    request = b"POST %bd HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (REGISTER.encode(), len(BODY), BODY)
    answers: list[int] = []
    with ExitStack() as opened:
        opened.callback(log.go.set)
        opened.enter_context(crowd(started, request, 1, "127.1.1.1"))
        until(log.is_asked.is_set)
        opened.enter_context(crowd(started, request, 14, "127.1.1.1"))
        until(lambda: gauge(started, "waiting_for_log") == 14)
        (one,) = opened.enter_context(crowd(started, request, 1, "127.1.1.1"))
        assert one.recv(12) == b"HTTP/1.1 503"
        other = threading.Thread(target=lambda: answers.append(started.client.post(REGISTER + "d", content=BODY).status_code))
        other.start()
        until(lambda: gauge(started, "waiting_for_log") == 15)
        log.go.set()
        other.join()
    assert answers == [200]
