"""What the page of a process may look at: log, stores and dead letters, over connections of its own."""

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

from devicesync.api.status_page.sight import Replayed, Sight
from devicesync.assembly import adapters, dead_letters, named_log
from devicesync.assembly.updater import Embedded, GroupMember
from devicesync.config import Settings
from devicesync.errors import Stopped
from devicesync.log.port import Log
from devicesync.status.trace import Trace, trace
from devicesync.stores import Stores


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

        def replay(letter_id: str | None) -> Replayed:
            return Replayed(*dead_letters.replay(settings, letter_id, None, stop))

        try:
            yield Sight(thread, follow, lambda limit: dead_letters.find(settings, reason=None, limit=limit), replay)
        finally:
            stop.set()
            thread.submit(opened.close).result()
