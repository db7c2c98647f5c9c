"""`simulate`: simulated registrations into the log, or into a file."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.simulation import Simulation, key_of

_BATCH = 500
_RATE = 100.0
_TICK_SECONDS = 0.02
Write = Callable[[list[bytes]], object]


class Pace(NamedTuple):
    """How many registrations, and how fast.

    records: so many; None: no end. rate: so many a second; None: 100, or with a count as fast as possible.
    start_ms: where they are not paced, the time of the first one, the others one a ms from there; None: the last one is now.
    """

    records: int | None
    rate: float | None
    start_ms: int | None


def simulate(simulation: Simulation, pace: Pace, write: Write, stop: threading.Event, watcher: Watcher) -> int:
    """Write registrations until `stop` is set, or until there are enough; how many were written. Raises what `write` does."""
    count = pace.records
    rate = _RATE if pace.rate is None and count is None else pace.rate
    began_ms, began = SYSTEM.now_ms(), SYSTEM.monotonic()
    if not rate:
        began_ms = pace.start_ms or began_ms - (count or 0)
    written = 0
    with watcher.bar("simulate", count, "records") as advance:
        while not stop.is_set() and written != count:
            due = int((SYSTEM.monotonic() - began) * rate) if rate else written + _BATCH
            size = min(due - written, _BATCH, (count or sys.maxsize) - written)
            steps = [int((SYSTEM.monotonic() - began) * 1000)] * size if rate else range(written, written + size)
            write([simulation.record(began_ms + step) for step in steps])
            written += size
            advance(size)
            if rate:
                stop.wait(_TICK_SECONDS)
    return written


@contextmanager
def into_log(settings: Settings) -> Iterator[Write]:
    """A function that appends to the log. Raises Unavailable, WrongUse."""
    if not named_log.is_shared(settings):
        data_directory.prepare(settings.directory)
    with closing(adapters.open_log(settings)) as log:
        yield lambda values: log.append(values, [key_of(value) for value in values]) if values else None
