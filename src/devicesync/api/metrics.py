"""Metrics of the API, in Prometheus' form; no label ever holds an id, an address or a token."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from devicesync.errors import DevicesyncError
from devicesync.log.port import Lag

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class _Family(Collector):
    """Figures that are made when somebody looks."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._make = collect

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        return self._make()

    def describe(self) -> Iterable[Metric]:
        """None: registering must not ask for figures yet."""
        return []


class Metrics:
    """One registry for one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "devicesync_api_requests_total", "Requests answered, by call and HTTP status.", ["call", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "devicesync_api_request_seconds", "From the request's head to its answer.", ["call"],
            registry=self._registry, buckets=_BUCKETS,
        )  # fmt: skip
        self._left_out = Counter(
            "devicesync_api_left_out_total", "Fields of registrations that could not be used and were left out.", ["field"],
            registry=self._registry,
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

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that is read when somebody looks."""
        Gauge(name, meaning, registry=self._registry).set_function(read)

    def counter(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that only grows, read when somebody looks; its name ends in _total."""
        self._registry.register(_Family(lambda: [CounterMetricFamily(name, meaning, read())]))

    def refused(self, counts: Mapping[str, int]) -> None:
        """How many records went to the dead letters, by reason."""

        def family() -> Iterable[Metric]:
            found = CounterMetricFamily("devicesync_updater_refused_total", "Records in the dead letters.", labels=["reason"])
            for reason, count in [*counts.items()]:
                found.add_metric([reason], count)
            return [found]

        self._registry.register(_Family(family))

    def lag(self, read: Callable[[], Lag]) -> None:
        """How far this process' reader of the log is behind; absent while that can't be found out."""

        def family() -> Iterable[Metric]:
            try:
                lag = read()
            except DevicesyncError:
                return
            yield GaugeMetricFamily("devicesync_log_lag_records", "Records of the log that were not read yet.", lag.records)
            yield GaugeMetricFamily("devicesync_log_lag_seconds", "The age of the oldest of them.", lag.seconds)

        self._registry.register(_Family(family))

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self._registry)
