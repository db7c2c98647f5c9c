"""Accepts connections: in each turn of the event loop as many as wait, up to a bound.

uvloop's own server accepts one in each turn. Where turns are long, all others wait in the system's queue, whoever they are from.
"""

import asyncio
import socket
from collections.abc import Callable

MOST_AT_ONCE = 100
"""Accepted ones that have no protocol yet, which takes two turns. No limit counts them so far, and each has a descriptor."""

PAUSE_SECONDS = 0.5
"""After an accept has failed, as it does where no descriptor is left. Who comes meanwhile waits."""


class Acceptor:
    """Accepts from one listening socket. make: makes the protocol of one connection."""

    def __init__(self, opened: socket.socket, make: Callable[[], asyncio.BaseProtocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = opened
        self._make = make
        self._tasks: set[asyncio.Task[object]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        opened.settimeout(0)
        self._resume()

    async def close(self) -> None:
        """Accept no more, and refuse those who wait. Return when those accepted have their protocols."""
        if self._resuming is not None:
            self._resuming.cancel()
        self._loop.remove_reader(self._opened)
        self._opened.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _resume(self) -> None:
        self._loop.add_reader(self._opened, self._accept)

    def _accept(self) -> None:
        for _ in range(MOST_AT_ONCE - len(self._tasks)):
            try:
                accepted, _ = self._opened.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._opened)
                self._resuming = self._loop.call_later(PAUSE_SECONDS, self._resume)
                return
            task = self._loop.create_task(self._loop.connect_accepted_socket(self._make, accepted))
            self._tasks.add(task)
            task.add_done_callback(self._is_made)

    def _is_made(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # who has left meanwhile is nobody's concern
