"""Metrics, in Prometheus' form; no label ever holds an id, an address or a token."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from devicesync.errors import DevicesyncError
from devicesync.log.port import Lag


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
        self.registry = CollectorRegistry()

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that is read when somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(read)

    def counter(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A figure that only grows, read when somebody looks; its name ends in _total."""
        self.registry.register(_Family(lambda: [CounterMetricFamily(name, meaning, read())]))

    def histogram(self, name: str, meaning: str, read: Callable[[], tuple[list[tuple[str, float]], float]]) -> None:
        """Figures read when somebody looks: of each bucket its edge, as text, and what is not above it; and the sum of all."""

        def family() -> Iterable[Metric]:
            buckets, total = read()
            return [HistogramMetricFamily(name, meaning, buckets, total)]

        self.registry.register(_Family(family))

    def refused(self, counts: Mapping[str, int]) -> None:
        """How many records went to the dead letters, by reason."""

        def family() -> Iterable[Metric]:
            found = CounterMetricFamily("devicesync_updater_refused_total", "Records in the dead letters.", labels=["reason"])
            for reason, count in [*counts.items()]:
                found.add_metric([reason], count)
            return [found]

        self.registry.register(_Family(family))

    def lag(self, read: Callable[[], Lag]) -> None:
        """How far this process' reader of the log is behind; absent while that can't be found out."""

        def family() -> Iterable[Metric]:
            try:
                lag = read()
            except DevicesyncError:
                return
            yield GaugeMetricFamily("devicesync_log_lag_records", "Records of the log that were not read yet.", lag.records)
            yield GaugeMetricFamily("devicesync_log_lag_seconds", "The age of the oldest of them.", lag.seconds)

        self.registry.register(_Family(family))

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self.registry)
