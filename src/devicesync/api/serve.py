"""Serves the applications in a thread with an event loop of its own, so that an updater can run beside it."""

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvloop

from devicesync.api.acceptor import Acceptor
from devicesync.api.connections import Door
from devicesync.api.protocol import Connection
from devicesync.config import host_and_port
from devicesync.errors import Unavailable

LOOK_SECONDS = 0.5
STOP_SECONDS = 5.0
"""For the answers to requests that are whole when we are told to stop."""

_BACKLOG = 1024
_SOCKET_BYTES = {socket.SO_SNDBUF: 65_536, socket.SO_RCVBUF: 32_768}
"""The system's buffers for one connection: what it would else let grow to megabytes while nobody reads. Linux doubles them."""

_UNTAKEN_MS = 30_000
"""So long the system keeps what a client does not take, also of a connection that is closed."""

Opened = tuple[Door, socket.socket]


def listen(setting: str, address: str) -> socket.socket:
    """A listening socket on HOST:PORT. Raises WrongUse, and Unavailable where the port is taken."""
    host, port = host_and_port(setting, address)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        opened = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise Unavailable(
            f"can't listen on {address}: {error}",
            f"is something else there? choose another by --{setting.replace('_', '-')} HOST:PORT",
        ) from error
    for buffer, size in _SOCKET_BYTES.items():
        opened.setsockopt(socket.SOL_SOCKET, buffer, size)
    if sys.platform == "linux":
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNTAKEN_MS)
    return opened


@contextmanager
def serving(
    make_doors: Callable[[], Sequence[Opened]], look: Callable[[], None], is_over: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Serve while the body runs. `make_doors` is called in the loop's thread; so are `look` and `is_over`, twice a second.

    is_over: whether to stop before the body ends.
    """
    served = _Served(make_doors, look, is_over)
    thread = threading.Thread(target=served.run, name="api")
    thread.start()
    served.started.wait()
    try:
        if served.failure is not None:
            raise served.failure
        yield
    finally:
        served.stop()
        thread.join()


class _Served:
    """The event loop's side."""

    def __init__(self, make_doors: Callable[[], Sequence[Opened]], look: Callable[[], None], is_over: Callable[[], bool]) -> None:
        self.started = threading.Event()
        self.failure: BaseException | None = None
        self._make_doors = make_doors
        self._look = look
        self._is_over = is_over
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def run(self) -> None:
        """Serve until told to stop."""
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            self.failure = error
        finally:
            self.started.set()

    def stop(self) -> None:
        """Tell it so, from another thread."""
        with suppress(RuntimeError):  # it has ended by itself
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        opened = self._make_doors()
        acceptors = [Acceptor(sock, partial(Connection, door)) for door, sock in opened]
        self.started.set()
        doors = [door for door, _ in opened]
        await self._watch(doors)
        for acceptor in acceptors:
            await acceptor.close()
        await _finish(doors)

    async def _watch(self, doors: Sequence[Door]) -> None:
        """Until told to stop, end what takes too long, and call `look`."""
        loop = asyncio.get_running_loop()
        while not (self._stop.is_set() or self._is_over()):
            for door in doors:
                door.look(loop.time())
            self._look()
            await _within(LOOK_SECONDS, self._stop.wait())


async def _finish(doors: Sequence[Door]) -> None:
    """Answer the whole requests, within STOP_SECONDS."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + STOP_SECONDS
    for door in doors:
        door.stop()
    while any(door.busy_count for door in doors) and loop.time() < deadline:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)
    for door in doors:
        door.close()
    await asyncio.sleep(0)


async def _within(seconds: float, waiting: Any) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return
