"""The memory of a command that runs for long: when the garbage collector comes, and what goes back to the system."""

import gc
import threading

from devicesync.clock import SYSTEM

_PAUSE_SECONDS = 60.0


def keep_memory_small() -> None:
    """Calm the garbage collector, and give back once a minute what is without use, in a thread of its own."""
    _calm_garbage_collector()
    threading.Thread(target=_give_back_for_ever, name="memory", daemon=True).start()


def give_memory_back() -> None:
    """Collect the garbage, and return to the system what the allocator holds without use, where the C library can.

    A client's failed call leaves a cycle of its exception and its frames. They hold the batch, and the calmed collector comes
    too late for it. glibc keeps what a backlog or an outage once took: its heaps shrink at their end only, and every thread
    has its own.
    """
    import ctypes  # later than the signals' handlers

    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _give_back_for_ever() -> None:
    while True:
        SYSTEM.sleep(_PAUSE_SECONDS)
        give_memory_back()


def _calm_garbage_collector() -> None:
    """Batches are very many small tuples and no cycles: at its default the collector takes a sixth of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)
