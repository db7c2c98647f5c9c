"""Freshness: how long a registration takes from the log to being readable in the cache."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from devicesync.log.port import Record


class Spread(NamedTuple):
    """Freshness of so many records, in ms."""

    records: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Freshness:
    """Collects the freshness of batches as they become readable. Used by one thread, read by another."""

    def __init__(self) -> None:
        self._ages_ms: list[float] = []

    def observe(self, records: Sequence[Record]) -> None:
        """These records are readable now."""
        now_ms = time.time_ns() / 1e6
        self._ages_ms += [max(now_ms - record.taken_ms, 0.0) for record in records]

    def take(self) -> Spread:
        """The spread since the last call; zeros when nothing came."""
        ages, self._ages_ms = self._ages_ms, []
        ages.sort()
        if not ages:
            return Spread(0, 0.0, 0.0, 0.0)
        return Spread(len(ages), ages[len(ages) // 2], ages[int(len(ages) * 0.99)], ages[-1])
