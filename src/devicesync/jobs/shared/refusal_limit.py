"""The limit that stops a job when nearly everything is refused: a bad deploy must not drain the log into the dead letters."""

import math
from collections import deque

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import TooManyBad

_MOST_READING_SECONDS = 10.0


class RefusalLimit:
    """Raises TooManyBad once `limit` (a share, 0 to 1) of the last `window` records were refused, all through `seconds`.

    The time is that at which the log took the records: a burst of a stranger's bad records stops nobody. But the records of a
    backlog come one partition after the other, the bad ones maybe first. So they must be read for some seconds, too, in
    which the other partitions have their turns. With a limit of 1 nothing ever stops.
    """

    def __init__(self, limit: float, window: int, seconds: float, clock: Clock = SYSTEM) -> None:
        self._window = window
        self._limit = limit
        self._allowed = math.ceil(limit * window)
        self._bad: deque[int] = deque(maxlen=self._allowed)
        self._seen = 0
        self._least_ms = seconds * 1000
        self._least_reading_seconds = min(seconds, _MOST_READING_SECONDS)
        self._clock = clock
        self._over_since: tuple[int, float] | None = None  # by the log's time in ms, and when we read it

    def good(self, count: int = 1) -> None:
        """So many records were accepted."""
        self._seen += count

    def bad(self, reason: str, taken_ms: int) -> None:
        """One record was refused; the log had taken it at that time."""
        if not self._is_over():  # good records may have come since the last bad one
            self._over_since = None
        self._seen += 1
        self._bad.append(self._seen)
        if not self._is_over():
            return
        now = self._clock.monotonic()
        since_ms, since = self._over_since = self._over_since or (taken_ms, now)
        lasts = taken_ms - since_ms >= self._least_ms and now - since >= self._least_reading_seconds
        if self._limit < 1 and lasts:
            raise TooManyBad(
                f"{self._allowed} of the last {self._window} records were refused, the last one as {reason}, "
                f"and no fewer for {self._least_ms / 1000:.0f} s",
                "`devicesync dead-letters list` shows those before this batch, which stays in the log and comes again; "
                f"mend the producer, or set bad_share_limit = 1 (now {self._limit}) to let them all pass into the dead letters",
            )

    def _is_over(self) -> bool:
        return len(self._bad) == self._allowed and self._seen >= self._window and self._bad[0] > self._seen - self._window
