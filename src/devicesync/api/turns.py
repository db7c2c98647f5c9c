"""Large bodies are read one by one, each in a turn of the event loop, so that many of them do not keep others waiting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from devicesync.api.answers import RequestError

LARGE_BYTES = 2048
"""A body with more is large. A registration has about 700; 64 KiB made to be slow take 10 ms, on 500 connections at once."""

MOST_WAITING = 256
"""Whoever sends a large body and goes away holds its 64 KiB until its turn has come."""

_LONG_SECONDS = 0.001
_RETRY_AFTER_SECONDS = 2


class Turns:
    """For one event loop."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Return when it is this body's turn and others have been served. Raises RequestError where too many wait."""
        if self._waiting >= MOST_WAITING:
            raise RequestError(503, "BUSY", "too many large registrations are waiting", _RETRY_AFTER_SECONDS)
        self._waiting += 1
        try:
            async with self._one_at_a_time:
                await asyncio.sleep(0)
                began = time.perf_counter()
                try:
                    yield
                finally:
                    await _rest(time.perf_counter() - began)
        finally:
            self._waiting -= 1


async def _rest(spent_seconds: float) -> None:
    """After long work, give others as much time. A turn of the loop accepts one connection, and hundreds may wait before it."""
    if spent_seconds > _LONG_SECONDS:
        await asyncio.sleep(spent_seconds)
