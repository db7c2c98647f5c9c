"""Large bodies and long User-Agents are read one by one, each in a turn of the event loop: many do not keep others waiting.

The networks of the clients take turns, so that many bodies of one network do not keep those of others waiting.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devicesync.api.answers import RequestError
from devicesync.api.clients import Address, customer_of

LARGE_BYTES, LARGEST_BYTES = 2048, 8192
"""A body with more is large. A registration has about 700; 64 KiB made to be slow take 10 ms, on 500 connections at once.

The largest have turns of their own: hundreds of networks with one such body each do not keep others waiting.
"""

MOST_WAITING = 256
"""Whoever sends a large body and goes away holds its 64 KiB until its turn has come."""

_LONG_SECONDS = 0.001
_RETRY_AFTER_SECONDS = 2


class Turns:
    """For one event loop."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, deque[asyncio.Future[None]]] = OrderedDict()
        self._is_taken = False

    @asynccontextmanager
    async def next(self, client: Address | None) -> AsyncIterator[None]:
        """Return when it is this client's turn and others have been served. Raises RequestError where too many wait."""
        if self._is_taken:
            await self._turn(customer_of(client))
        self._is_taken = True
        try:
            await asyncio.sleep(0)
            began = time.perf_counter()
            try:
                yield
            finally:
                await _rest(time.perf_counter() - began)
        finally:
            self._pass_on()

    async def _turn(self, network: bytes) -> None:
        if not self._has_room(network):
            raise _busy()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(network, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._pass_on()
            raise

    def _has_room(self, network: bytes) -> bool:
        """Where all that may wait do, the network of which most wait gives one to another: its last, which is refused."""
        if sum(map(len, self._waiting.values())) < MOST_WAITING:
            return True
        most = max(self._waiting.values(), key=len)
        if len(most) <= len(self._waiting.get(network, ())) + 1:
            return False
        last = most.pop()
        if not last.done():
            last.set_exception(_busy())
        return True

    def _pass_on(self) -> None:
        while self._waiting:
            network, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[network] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


def _busy() -> RequestError:
    return RequestError(503, "BUSY", "too many large registrations are waiting", _RETRY_AFTER_SECONDS)


async def _rest(spent_seconds: float) -> None:
    """After long work, give others as much time: hundreds may wait for a turn of the loop."""
    if spent_seconds > _LONG_SECONDS:
        await asyncio.sleep(spent_seconds)
