"""The limit that stops a job when nearly everything is refused: a bad deploy must not drain the log into the dead letters."""

import math
from collections import deque

from devicesync.errors import TooManyBad


class RefusalLimit:
    """Raises TooManyBad once `limit` (a share, 0 to 1) of the last `window` records were refused, all through `seconds`.

    The time is that at which the log took the records: a burst of a stranger's bad records stops nobody, and a backlog is
    judged as it would have been when it came. With a limit of 1 nothing ever stops.
    """

    def __init__(self, limit: float, window: int, seconds: float) -> None:
        self._window = window
        self._limit = limit
        self._allowed = math.ceil(limit * window)
        self._bad: deque[int] = deque(maxlen=self._allowed)
        self._seen = 0
        self._least_ms = seconds * 1000
        self._over_since_ms: int | None = None

    def good(self, count: int = 1) -> None:
        """So many records were accepted."""
        self._seen += count

    def bad(self, reason: str, taken_ms: int) -> None:
        """One record was refused; the log had taken it at that time."""
        if not self._is_over():  # good records may have come since the last bad one
            self._over_since_ms = None
        self._seen += 1
        self._bad.append(self._seen)
        if not self._is_over():
            return
        if self._over_since_ms is None:
            self._over_since_ms = taken_ms
        if self._limit < 1 and taken_ms - self._over_since_ms >= self._least_ms:
            raise TooManyBad(
                f"{self._allowed} of the last {self._window} records were refused, the last one as {reason}, "
                f"and no fewer for {self._least_ms / 1000:.0f} s",
                "`devicesync dead-letters list` shows those before this batch, which stays in the log and comes again; "
                f"mend the producer, or set bad_share_limit = 1 (now {self._limit}) to let them all pass into the dead letters",
            )

    def _is_over(self) -> bool:
        return len(self._bad) == self._allowed and self._seen >= self._window and self._bad[0] > self._seen - self._window
