"""What the API adds to the metrics of its process."""

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from devicesync.status.metrics import Metrics

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ApiMetrics(Metrics):
    """Metrics of a process that serves the API."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = Counter(
            "devicesync_api_requests_total", "Requests answered, by call and HTTP status.", ["call", "status"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "devicesync_api_request_seconds", "From the request's head to its answer.", ["call"],
            registry=self.registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._left_out = Counter(
            "devicesync_api_left_out_total", "Fields of registrations that could not be used and were left out.", ["field"],
            registry=self.registry,
        )  # fmt: skip

    def observer(self, call: str) -> Callable[[int, float], None]:
        """A function to call with the status and the seconds of each request of this call."""
        seconds = self._seconds.labels(call)
        requests: dict[int, Counter] = {}

        def observe(status: int, took_seconds: float) -> None:
            counter = requests.get(status)
            if counter is None:
                counter = requests[status] = self._requests.labels(call, str(status))
            counter.inc()
            seconds.observe(took_seconds)

        return observe

    def left_out(self, field: str) -> None:
        """Count a field of a registration that was left out, by one of the names that we know."""
        self._left_out.labels(field).inc()
