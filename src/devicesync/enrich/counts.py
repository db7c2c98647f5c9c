"""What an enricher has done so far, for metrics."""

from bisect import bisect_left

AGES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The buckets of the ages at use, in ms; one more has all that are older."""


class Counts:
    """events = without_device + hits + misses + refused. unknown: events of devices that the cache does not know."""

    def __init__(self) -> None:
        self.events = self.without_device = self.hits = self.misses = self.unknown = self.refused = self.marked = 0
        self.ages = [0] * (len(AGES_MS) + 1)
        self.ages_sum_ms = 0

    def used(self, age_ms: int) -> None:
        """An event was enriched from what was known so long ago."""
        self.ages[bisect_left(AGES_MS, age_ms)] += 1
        self.ages_sum_ms += age_ms

    def add(self, other: "Counts") -> None:
        """Those of a batch."""
        for name, count in vars(other).items():
            if isinstance(count, int):
                setattr(self, name, getattr(self, name) + count)
        self.ages = [one + more for one, more in zip(self.ages, other.ages, strict=True)]
