"""What the page may look at beside the figures of its process. It is done in one thread, because clients of stores block."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from devicesync.dead_letters.port import DeadLetter
from devicesync.status.trace import Trace

T = TypeVar("T")


class Replayed(NamedTuple):
    """How many dead letters were tried again, and how many of them were valid and applied."""

    tried: int
    applied: int


class Sight(NamedTuple):
    """Calls that block, for one thread. Each may raise Unavailable, and Stopped while the process ends.

    trace: follow a device. dead_letters: how many there are, and the newest so many. replay: try one, by its id, or all again.
    """

    thread: ThreadPoolExecutor
    trace: Callable[[str], Trace]
    dead_letters: Callable[[int], tuple[int, list[DeadLetter]]]
    replay: Callable[[str | None], Replayed]

    async def run(self, call: Callable[[], T]) -> T:
        """Run the call in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, call)
