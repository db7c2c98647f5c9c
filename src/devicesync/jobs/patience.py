"""Back-pressure: a log or store that can't be used is waited for, with jitter, and said again with growing pauses."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import structlog

from devicesync.errors import Unavailable

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 2.0
_LONGEST_SILENCE_SECONDS = 300.0
_log: Any = structlog.get_logger("devicesync")


class Stopped(Exception):
    """The job was asked to stop while it waited."""


class Patience:
    """Repeats a call until it works. `stop` ends the waiting; `meanwhile` is called at every wait."""

    say_again_seconds = 30.0
    """After so long it is said again what is waited for; then after twice that, and so on, up to five minutes."""

    def __init__(self, stop: threading.Event, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._stop = stop
        self._meanwhile = meanwhile

    def until_it_works(self, call: Callable[[], T]) -> T:
        """The result of `call`, which is repeated as long as it raises Unavailable; so it must bear repeating.

        Raises Stopped when `stop` is set in the meantime.
        """
        wait_seconds = _FIRST_WAIT_SECONDS
        silence_seconds = self.say_again_seconds
        said_at = 0.0
        while True:
            try:
                result = call()
            except Unavailable as error:
                now = time.monotonic()
                if not said_at or now - said_at >= silence_seconds:
                    silence_seconds = min(silence_seconds * 2, _LONGEST_SILENCE_SECONDS) if said_at else silence_seconds
                    _log.warning("waiting", reason=str(error), hint=error.hint)
                    said_at = now
                if self._stop.wait(wait_seconds * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter, not a secret
                    raise Stopped from error
                with suppress(Unavailable):
                    self._meanwhile()
                wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
            else:
                if said_at:
                    _log.warning("going on")
                return result
