"""Counts of a histogram. One thread observes, any other may read meanwhile."""

import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Tally:
    """How many values lie in each bucket, and their sum. edges: the buckets' upper bounds; one more bucket has the rest.

    counts, total: what was counted elsewhere, in the same buckets.
    """

    def __init__(self, edges: tuple[float, ...], counts: Sequence[int] = (), total: float = 0.0) -> None:
        self._edges = edges
        self._counts = [*counts] or [0] * (len(edges) + 1)
        self.sum = total

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value so many times."""
        self._counts[bisect_left(self._edges, value)] += times
        self.sum += value * times

    def buckets(self) -> list[tuple[str, float]]:
        """Of each bucket its edge, as text, and how many values are not above it."""
        edges = [*map(repr, self._edges), "+Inf"]
        return [(edge, float(count)) for edge, count in zip(edges, accumulate(self._counts), strict=True)]


class Tallies(dict[str, Tally]):
    """A tally for each value of a label, made when it is first asked for."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        super().__init__()
        self._edges = edges

    def __missing__(self, label: str) -> Tally:
        """Make it."""
        tally = self[label] = Tally(self._edges)
        return tally


class Laps:
    """Times steps that follow one another, from now on."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies
        self._first = self._began = time.perf_counter()

    def end(self, step: str) -> None:
        """End this step now; the next one begins."""
        now = time.perf_counter()
        self._tallies[step].observe(now - self._began)
        self._began = now

    @property
    def seconds(self) -> float:
        """From the first step's beginning to the last one's end."""
        return self._began - self._first
