"""Freshness: how long a registration takes from the log to being readable in the cache."""

import math
import threading
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from devicesync.clock import SYSTEM
from devicesync.log.port import Record
from devicesync.status.declared import FRESH_SECONDS
from devicesync.status.tally import Tally

KEPT_SECONDS = 300
"""How long what each second was like is remembered."""

_STEPS = 16
"""Steps in which an age is remembered between one ms and twice as much: to 2 %."""


_MOST_AGES = 256
"""So many ages of a batch are told apart, so that old batches, each of whose records has another one, cost no more."""


class Spread(NamedTuple):
    """Freshness of so many records, in ms; p50 and p99 to 2 %. Zeros where there are none."""

    records: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Ages:
    """Ages of records, in little memory whatever their number. steps: how many records were so many steps old."""

    def __init__(self, second: int = 0) -> None:
        self.second = second
        self.steps: Counter[int] = Counter()
        self.max_ms = 0.0

    def add(self, age_ms: float, times: int) -> None:
        """So many records had this age."""
        self.steps[int(math.log2(age_ms + 1) * _STEPS)] += times
        self.max_ms = max(self.max_ms, age_ms)

    def join(self, other: "Ages") -> None:
        """Those of the other too."""
        self.steps.update(other.steps.copy())
        self.max_ms = max(self.max_ms, other.max_ms)

    def spread(self) -> Spread:
        """How they are spread."""
        steps = self.steps.copy()
        records = steps.total()
        return Spread(records, self._at(steps, int(records * 0.5)), self._at(steps, int(records * 0.99)), self.max_ms)

    def _at(self, steps: Counter[int], rank: int) -> float:
        for step in sorted(steps):
            rank -= steps[step]
            if rank < 0:
                return min(2 ** ((step + 0.5) / _STEPS) - 1, self.max_ms)
        return self.max_ms


class Freshness:
    """Collects the freshness of batches as they become readable.

    tally: of all records, in seconds.
    """

    def __init__(self) -> None:
        self.tally = Tally(FRESH_SECONDS)
        self._untold = Ages()
        self._seconds: deque[Ages] = deque(maxlen=KEPT_SECONDS)
        self._lock = threading.Lock()  # two batches can become readable at once

    def observe(self, records: Sequence[Record]) -> None:
        """These records are readable now."""
        now_ms = SYSTEM.now_us() / 1e3
        taken = [record[3] for record in records]
        grain_ms = max(int(now_ms - min(taken)) // _MOST_AGES, 1)
        grains = Counter([taken_ms // grain_ms for taken_ms in taken])
        with self._lock:
            second, untold = self._of_second(int(now_ms / 1000)), self._untold
            for grain, times in grains.items():
                age_ms = max(now_ms - grain * grain_ms, 0.0)
                self.tally.observe(age_ms / 1000, times)
                second.add(age_ms, times)
                untold.add(age_ms, times)

    def take(self) -> Spread:
        """The spread since the last call."""
        with self._lock:
            untold, self._untold = self._untold, Ages()
        return untold.spread()

    def seconds(self, count: int) -> list[tuple[int, Spread]]:
        """Of each of the last `count` whole seconds (since 1970) what it was like; those in which nothing came are absent."""
        now = SYSTEM.now_ms() // 1000
        return [(ages.second, ages.spread()) for ages in tuple(self._seconds) if now - count <= ages.second < now]

    def last(self, count: int) -> Spread:
        """The spread of the last `count` seconds."""
        since, joined = SYSTEM.now_ms() // 1000 - count, Ages()
        for ages in tuple(self._seconds):
            if ages.second >= since:
                joined.join(ages)
        return joined.spread()

    def _of_second(self, second: int) -> Ages:
        if not self._seconds or self._seconds[-1].second != second:
            self._seconds.append(Ages(second))
        return self._seconds[-1]
