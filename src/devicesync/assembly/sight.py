"""What the page of a process may look at: log, stores and dead letters, over connections of its own."""

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

from devicesync.api.status_page.sight import Replayed, Sight
from devicesync.assembly import adapters, dead_letters, named_log
from devicesync.assembly.updater import Embedded, GroupMember
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.dead_letters.port import DeadLetter
from devicesync.errors import Stopped, Unavailable
from devicesync.log.port import Log
from devicesync.status.trace import Trace, trace
from devicesync.stores import Stores

_LOOK_SECONDS = 10.0
"""So long the dead letters are looked at: those of a topic are read from its beginning, and the next look waits."""


def stores_beside(settings: Settings, assembled: Embedded | GroupMember) -> Stores:
    """Stores to read in the process of an updater: its own private cache, where no other updater writes."""
    stores = adapters.open_stores_to_read(settings)
    is_the_only_one = assembled.stores.cache.is_private and not named_log.is_shared(settings)
    return stores._replace(cache=assembled.stores.cache) if is_the_only_one else stores


@contextmanager
def sight_of(settings: Settings, log: Log, open_stores: Callable[[], Stores]) -> Iterator[Sight]:
    """While the body runs. The stores are opened when first looked at. What waits or takes long is stopped at the end."""
    stop = threading.Event()
    with ThreadPoolExecutor(1, "page") as thread, ExitStack() as opened:
        stores = functools.cache(lambda: opened.enter_context(closing(open_stores())))

        def check() -> None:
            if stop.is_set():
                raise Stopped("this process stops")

        def follow(device_id: str) -> Trace:
            check()
            return trace(device_id, log, stores(), max_clock_ahead_ms=settings.max_clock_ahead_ms, check=check)

        def letters(limit: int) -> tuple[int, list[DeadLetter]]:
            ends_at = SYSTEM.monotonic() + _LOOK_SECONDS

            def check_time() -> None:
                check()
                if SYSTEM.monotonic() > ends_at:
                    problem = f"there are too many dead letters to read them within {_LOOK_SECONDS:g} s"
                    raise Unavailable(problem, "`devicesync dead-letters list` takes the time that it needs")

            check_time()
            return dead_letters.find(settings, reason=None, limit=limit, check=check_time)

        def replay(letter_id: str | None) -> Replayed:
            return Replayed(*dead_letters.replay(settings, letter_id, None, stop))

        try:
            yield Sight(thread, follow, letters, replay)
        finally:
            stop.set()
            thread.submit(opened.close).result()
