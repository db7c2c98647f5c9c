"""The limit that stops a job when nearly everything is refused: a bad deploy must not drain the log into the dead letters."""

import math
from collections import deque

from devicesync.errors import TooManyBad


class BadShare:
    """Watches the last `window` records and raises TooManyBad once `limit` (a share, 0 to 1) of them were refused."""

    def __init__(self, limit: float, window: int) -> None:
        self._window = window
        self._limit = limit
        self._allowed = math.ceil(limit * window)
        self._bad: deque[int] = deque(maxlen=self._allowed)
        self._seen = 0

    def good(self, count: int = 1) -> None:
        """So many records were accepted."""
        self._seen += count

    def bad(self, reason: str) -> None:
        """One record was refused."""
        self._seen += 1
        self._bad.append(self._seen)
        if len(self._bad) == self._allowed and self._seen >= self._window and self._bad[0] > self._seen - self._window:
            raise TooManyBad(
                f"{self._allowed} of the last {self._window} records were refused, the last one as {reason}",
                f"look at `devicesync dead-letters list`; if this is expected, raise bad_share_limit (now {self._limit})",
            )
