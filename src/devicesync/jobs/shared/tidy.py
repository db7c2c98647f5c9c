"""Tidy: what is kept for a time only goes when that time is over, also on a host where nothing happens."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog

from devicesync.errors import Unavailable

_log: Any = structlog.get_logger("devicesync")


@contextmanager
def tidying(chores: Sequence[Callable[[], object]], every_seconds: float) -> Iterator[None]:
    """Do the chores in a thread, at once and then so often, while the body runs. One that raises Unavailable is tried again."""
    over = threading.Event()
    thread = threading.Thread(target=_tidy, args=(chores, every_seconds, over), name="tidy", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tidy(chores: Sequence[Callable[[], object]], every_seconds: float, over: threading.Event) -> None:
    while True:
        for chore in chores:
            try:
                chore()
            except Unavailable as error:
                _log.warning("could not tidy", reason=str(error), hint=error.hint)
        if over.wait(every_seconds):
            return
