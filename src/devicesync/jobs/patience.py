"""Back-pressure: a log or store that can't be used is waited for, with jitter, and said once."""

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from devicesync.errors import Unavailable

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 2.0
_log: Any = structlog.get_logger("devicesync")


class Stopped(Exception):
    """The job was asked to stop while it waited."""


class Patience:
    """Repeats a call until it works. `stop` ends the waiting; `meanwhile` is called at every wait."""

    def __init__(self, stop: threading.Event, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._stop = stop
        self._meanwhile = meanwhile

    def until_it_works(self, call: Callable[[], T]) -> T:
        """The result of `call`, which is repeated as long as it raises Unavailable; so it must bear repeating.

        Raises Stopped when `stop` is set in the meantime.
        """
        wait_seconds = _FIRST_WAIT_SECONDS
        said = False
        while True:
            try:
                result = call()
            except Unavailable as error:
                if not said:
                    _log.warning("waiting", reason=str(error), hint=error.hint)
                    said = True
                if self._stop.wait(wait_seconds * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter, not a secret
                    raise Stopped from error
                with suppress(Unavailable):
                    self._meanwhile()
                wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
            else:
                if said:
                    _log.warning("going on")
                return result
