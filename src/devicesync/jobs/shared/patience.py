"""Back-pressure: a log or store that can't be used is waited for, with jitter, and it is said, with growing pauses."""

import random
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

import structlog

from devicesync.clock import SYSTEM
from devicesync.errors import Stopped, Unavailable
from devicesync.status.declared import RETRIES, WAITING, Readings

__all__ = ["Patience", "Stopped", "readings", "waited_for"]

P = ParamSpec("P")
T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 2.0
_FIRST_SILENCE_SECONDS = 30.0
_LONGEST_SILENCE_SECONDS = 600.0
_waiting: "list[_Waiting]" = []
_log: Any = structlog.get_logger("devicesync")


class Patience:
    """Repeats a call until it works. `stop` ends the waiting; `meanwhile` is called at every wait."""

    def __init__(self, stop: threading.Event, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._stop = stop
        self._meanwhile = meanwhile

    def until_it_works(self, call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of `call` with these arguments. It is repeated as long as it raises Unavailable, so it must bear that.

        Raises Stopped when `stop` is set in the meantime.
        """
        try:
            return call(*args, **named)
        except Unavailable as error:
            with _Waiting() as waiting:
                waiting.say(error)
                let_go(error)
                return self._repeat(partial(call, *args, **named), waiting)

    def _repeat(self, call: Callable[[], T], waiting: "_Waiting") -> T:
        wait_seconds = _FIRST_WAIT_SECONDS
        while True:
            if self._stop.wait(wait_seconds * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter, not a secret
                raise Stopped
            with suppress(Unavailable):
                self._meanwhile()
            if self._stop.is_set():  # that may have taken its time
                raise Stopped
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
            _Waiting.retries += 1
            try:
                result = call()
            except Unavailable as error:
                waiting.say(error)
                let_go(error)
            else:
                waiting.end()
                return result


def let_go(error: BaseException | None) -> None:
    """Empty the frames of a failed call.

    Some clients keep their exception in a variable. Frame and exception then hold each other, and the call's batch, for long.
    """
    emptied: set[int] = set()
    while error is not None and id(error) not in emptied:  # one that is kept and raised again can be its own context's cause
        traceback.clear_frames(error.__traceback__)
        emptied.add(id(error))
        error = error.__cause__ or error.__context__


def waited_for() -> str:
    """What the jobs of this process wait for now, in words; "" when for nothing."""
    return "; ".join(sorted({waiting.reason for waiting in tuple(_waiting)}))


def readings() -> Readings:
    """For Metrics: of all jobs of this process."""
    return {RETRIES: _Waiting.retries, WAITING: bool(_waiting)}


class _Waiting:
    """Says what is waited for and since when: at once, then again and again, and that it is over.

    retries: calls that were repeated in this process.
    """

    retries = 0

    def __init__(self) -> None:
        self.reason = ""
        self._since = datetime.fromtimestamp(SYSTEM.now_ms() // 1000, UTC)
        self._due = self._began = SYSTEM.monotonic()
        self._silence_seconds = _FIRST_SILENCE_SECONDS

    def __enter__(self) -> Self:
        _waiting.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _waiting.remove(self)

    def say(self, error: Unavailable) -> None:
        """Log it, unless it was logged just before."""
        self.reason = str(error)
        now = SYSTEM.monotonic()
        if now < self._due:
            return
        _log.warning("waiting", reason=str(error), since=self._since.isoformat(timespec="seconds"), hint=error.hint)
        self._due = now + self._silence_seconds
        self._silence_seconds = min(self._silence_seconds * 2, _LONGEST_SILENCE_SECONDS)

    def end(self) -> None:
        """Log the way back."""
        _log.warning("going on", waited_seconds=round(SYSTEM.monotonic() - self._began, 1))
