"""The memory of a command that runs for long: its heaps, when the garbage collector comes, what goes back to the system."""

import gc
import threading

from devicesync.clock import SYSTEM

_PAUSE_SECONDS = 60.0
_HEAPS = 2
_M_ARENA_MAX = -8  # as malloc.h has it


def keep_memory_small() -> None:
    """Call it before the clients' threads begin. Once a minute a thread of its own gives back what is without use.

    At its default glibc gives nearly every thread a heap. What is free in one heap is of no use to the others.
    """
    _tell_allocator("mallopt", _M_ARENA_MAX, _HEAPS)
    _calm_garbage_collector()
    threading.Thread(target=_give_back_for_ever, name="memory", daemon=True).start()


def give_memory_back() -> None:
    """Collect the garbage, and return to the system what the allocator holds without use, where the C library can.

    A client's failed call leaves a cycle of its exception and its frames. They hold the batch, and the calmed collector comes
    too late for it. glibc keeps what a backlog or an outage once took: its heaps shrink at their end only.
    """
    gc.collect()
    _tell_allocator("malloc_trim", 0)


def _give_back_for_ever() -> None:
    while True:
        SYSTEM.sleep(_PAUSE_SECONDS)
        give_memory_back()


def _calm_garbage_collector() -> None:
    """Batches are very many small tuples and no cycles: at its default the collector takes a sixth of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


def _tell_allocator(function: str, *numbers: int) -> None:
    """Call this function of glibc; other C libraries have none of that name."""
    import ctypes  # noqa: PLC0415 - the signals' handlers stand by now

    call = getattr(ctypes.CDLL(None), function, None)
    if call is not None:
        call(*numbers)
