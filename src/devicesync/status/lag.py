"""The lag for whoever looks: a log that does not answer keeps nobody waiting, a scrape of Prometheus least of all."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.log.port import Lag

LONGEST_SECONDS = 2.0
"""So long whoever looks waits for an answer."""
KEPT_SECONDS = 60.0
"""So long after its beginning the look before is shown in its place."""


class _Look(NamedTuple):
    """When it began, in seconds of Clock.monotonic, and what it finds."""

    began: float
    found: "Future[Lag]"


class LagLookup:
    """Looks for the lag in a thread of its own, one look at a time. read: how; it may take long, and raise DevicesyncError."""

    def __init__(self, read: Callable[[], Lag]) -> None:
        self._read = read
        self._thread = ThreadPoolExecutor(1, "lag")
        self._looks: deque[_Look] = deque(maxlen=2)
        self._lock = threading.Lock()

    def latest(self) -> Lag:
        """What it is now; where that is not found out in time, what the look before has found.

        Raises Unavailable, and what `read` raises.
        """
        with self._lock:
            if not self._looks or self._looks[-1].found.done():
                self._looks.append(_Look(SYSTEM.monotonic(), self._thread.submit(self._read)))
            *before, newest = self._looks
        try:
            return newest.found.result(max(newest.began + LONGEST_SECONDS - SYSTEM.monotonic(), 0))
        except TimeoutError:
            for look in before:
                if SYSTEM.monotonic() - look.began < KEPT_SECONDS:
                    return look.found.result()
            raise Unavailable(f"the lag was not found out within {LONGEST_SECONDS:g} s") from None
