"""Reads profiles from the cache, filled from the database. A caller may ask for a version, or a newer one."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog

from devicesync.api.answers import RequestError
from devicesync.api.clients import Address, network_of
from devicesync.api.fuse import Fuse
from devicesync.clock import SYSTEM, Clock
from devicesync.errors import DevicesyncError, Unavailable
from devicesync.law.state import State
from devicesync.stores import Stores

MOST_WAITING, MOST_WAITING_OF_ONE = 32, 4
"""Reads that may wait for a version at once, of all clients and of one address; more are answered at once: they look again and
again, at the cost of everyone."""

ANSWER_SECONDS = 5.0
"""Stores that are open must have answered a read by then, and the reads before it in its thread."""

_FIRST_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.02
_SAY_AGAIN_SECONDS = 60.0
_log: Any = structlog.get_logger("devicesync")
T = TypeVar("T")


class Profiles:
    """The stores, behind threads, because their clients block. They are opened at the first use.

    wait_ms: how long a read waits for a version that the cache does not have yet. most_reads: how many may be under way.
    """

    def __init__(self, open_stores: Callable[[], Stores], wait_ms: int, most_reads: int, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._fuse = Fuse(most_reads, "STORE_UNAVAILABLE", "profiles can't be read now; try again")
        self._open_stores = open_stores
        self._opened: Stores | None = None
        self._opening: asyncio.Future[Stores] | None = None
        self._wait_seconds = wait_ms / 1000
        self._opener = self._threads = ThreadPoolExecutor(1, "stores")
        self._waiting: Counter[bytes] = Counter()
        self._said_at, self._is_said = float("-inf"), False

    async def read(self, device_id: str, min_version: int = 0, client: Address | None = None) -> State:
        """Return the device's state, at least as new as `min_version` (µs). client: who may have to wait. Raises RequestError."""
        state = await self._look_up(device_id, client)
        if state.profile_version < min_version:
            network = network_of(client)
            if self._waiting.total() < MOST_WAITING and self._waiting[network] < MOST_WAITING_OF_ONE:
                state = await self._wait_for(device_id, min_version, client)
        if state.profile_version < min_version:
            raise RequestError(504, "NOT_YET", f"no profile of version {min_version} or newer yet", 1)
        return state

    async def read_anew(self, device_id: str) -> State:
        """Return the device's state from the database, whatever the cache holds. Raises RequestError."""
        return await self._run(lambda stores: stores.read(device_id, anew=True), None)

    async def _wait_for(self, device_id: str, min_version: int, client: Address | None) -> State:
        """Return the device's state when it is that new. When the time is over, return what the database has."""
        deadline = self._clock.monotonic() + self._wait_seconds
        wait_seconds = _FIRST_WAIT_SECONDS
        network = network_of(client)
        self._waiting[network] += 1
        try:
            while True:
                await asyncio.sleep(wait_seconds)
                state = await self._look_up(device_id, client)
                if state.profile_version >= min_version:
                    return state
                if self._clock.monotonic() >= deadline:
                    return await self.read_anew(device_id)
                wait_seconds = min(wait_seconds * 1.5, _LONGEST_WAIT_SECONDS)
        finally:
            self._waiting[network] -= 1
            if not self._waiting[network]:
                del self._waiting[network]

    async def _look_up(self, device_id: str, client: Address | None) -> State:
        return await self._run(lambda stores: stores.read(device_id), client)

    async def check(self, look: Callable[[Stores], None]) -> None:
        """Look at the stores in their thread. Raises Unavailable."""
        await self._in_thread(look)

    def close(self) -> None:
        """Give back connections."""
        self._opener.submit(self._close).result()
        self._opener.shutdown()

    def _close(self) -> None:
        if self._threads is not self._opener:
            self._threads.shutdown()
        if self._opened:
            self._opened.close()

    async def _run(self, call: Callable[[Stores], T], client: Address | None) -> T:
        with self._fuse.call(client):
            try:
                result = await self._in_thread(call)
            except Unavailable as error:
                self._say(error)
                raise
            if self._is_said:
                self._is_said = False
                _log.warning("the stores can be read again")
            return result

    def _say(self, error: Unavailable) -> None:
        """Log it, at most once a minute: some reads may work meanwhile, and anybody may read."""
        now = self._clock.monotonic()
        if now - self._said_at >= _SAY_AGAIN_SECONDS:
            self._said_at, self._is_said = now, True
            _log.warning("a store can't be read", reason=str(error), hint=error.hint)

    async def _in_thread(self, call: Callable[[Stores], T]) -> T:
        """What the call returns. One that nobody waits for any more is not begun. Raises Unavailable."""
        loop = asyncio.get_running_loop()
        try:
            stores = self._opened or await self._once_opened()
            async with asyncio.timeout(ANSWER_SECONDS):
                return await loop.run_in_executor(self._threads, call, stores)
        except TimeoutError:
            raise Unavailable(f"the stores did not answer within {ANSWER_SECONDS:g} s") from None
        except DevicesyncError as error:  # also a damaged file: a client is told the same
            raise Unavailable(str(error), error.hint) from error

    async def _once_opened(self) -> Stores:
        """The stores, when they are open. All who wait learn of one attempt. Raises Unavailable."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.get_running_loop().run_in_executor(self._opener, self._open)
            self._opening.add_done_callback(lambda done: done.cancelled() or done.exception())  # who waited may have left
        return await asyncio.shield(self._opening)

    def _open(self) -> Stores:
        """Open the stores, once, in the opener's thread. Then as many threads read as the database allows."""
        if self._opened is None:
            stores = self._open_stores()
            if stores.database.threads > 1:
                self._threads = ThreadPoolExecutor(stores.database.threads, "stores")
            self._opened = stores
        return self._opened
