"""Time, as one process sees it: whoever asks for the time, or waits, does so here, so that a test can say what time it is.

Ruff (TID251) sees to it. What only measures how long something took, for a figure, asks `time.perf_counter`.
"""

import time
from datetime import UTC, datetime
from typing import Protocol

LAST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that has a date here."""


class Clock(Protocol):
    """A process's clocks. Safe for several threads."""

    def now_us(self) -> int:
        """The time in µs since 1970. It may step, both ways."""
        ...

    def now_ms(self) -> int:
        """The same in ms."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. It never steps back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after that time."""
        ...


class SystemClock:
    """See Clock: the machine's."""

    def now_us(self) -> int:
        """See Clock."""
        return time.time_ns() // 1000

    def now_ms(self) -> int:
        """See Clock."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """See Clock."""
        time.sleep(seconds)


SYSTEM = SystemClock()


def date_of(time_ms: int) -> str:
    """The time, ms since 1970, as 2026-11-24T12:00:00Z. What somebody wrote into a file is cut to the years that have a date."""
    return datetime.fromtimestamp(min(max(time_ms, 0), LAST_MS) // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
