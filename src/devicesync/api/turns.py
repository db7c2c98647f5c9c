"""Large bodies are worked on one at a turn of the event loop, so that a crowd of them keeps nobody else waiting."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LARGE_BYTES = 2048
"""A body with more is large. A registration has about 700; 64 KiB made to be slow take 10 ms, on 500 connections at once."""


class Turns:
    """For one event loop."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def next(self) -> AsyncIterator[None]:
        """Begin when it is one's turn, and others have been served."""
        async with self._one_at_a_time:
            await asyncio.sleep(0)
            yield
