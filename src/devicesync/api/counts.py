"""What the API counts of its requests."""

from collections import Counter
from collections.abc import Callable

from devicesync.status.declared import API_LEFT_OUT, API_REQUESTS, API_SECONDS, FAST_SECONDS, Readings
from devicesync.status.tally import Tallies


class ApiCounts:
    """Counted in the event loop's thread. Any thread may read it."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._seconds = Tallies(FAST_SECONDS)
        self._left_out: Counter[str] = Counter()

    def observer(self, call: str) -> Callable[[int, float], None]:
        """Return a function to call with the status and the seconds of each request of this call."""
        seconds, requests = self._seconds[call], self._requests

        def observe(status: int, took_seconds: float) -> None:
            requests[call, str(status)] += 1
            seconds.observe(took_seconds)

        return observe

    def left_out(self, field: str) -> None:
        """Count a field of a registration that was left out, under a name from a fixed list."""
        self._left_out[field] += 1

    def readings(self) -> Readings:
        """For Metrics."""
        return {API_REQUESTS: self._requests, API_SECONDS: self._seconds, API_LEFT_OUT: self._left_out}
