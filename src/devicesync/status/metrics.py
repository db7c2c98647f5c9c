"""The metrics of one process, in Prometheus' form: what its parts count, read when somebody looks."""

import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from devicesync.clock import SYSTEM
from devicesync.errors import DevicesyncError
from devicesync.log.leaderless import leaderless
from devicesync.log.port import Lag
from devicesync.status.declared import BUILD, LAG_HELD, LAG_RECORDS, LAG_SECONDS, LEADERLESS, Metric, Reading, Readings
from devicesync.status.freshness import Freshness
from devicesync.status.lag import LagLookup
from devicesync.status.tally import Tally


class Metrics(Collector):
    """command: as users type it. began: when, in seconds of Clock.monotonic.

    uses: what it works on, such as "log" and "database": each's URL without passwords.

    freshness: of an updater, for what needs more than its histogram.
    """

    freshness: Freshness | None = None

    def __init__(self, command: str, uses: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.uses = dict(uses or {})
        self.began = SYSTEM.monotonic()
        self._reads: list[Callable[[], Readings]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        build: dict[tuple[str, ...], float] = {(version("devicesync"), platform.python_version(), command): 1.0}
        self.add(lambda: {BUILD: build, LEADERLESS: len(leaderless())})

    def add(self, read: Callable[[], Readings]) -> None:
        """Show what `read` returns. It is called whenever somebody looks. Where it raises DevicesyncError nothing is shown."""
        self._reads.append(read)

    def add_lag(self, read: Callable[[], Lag]) -> None:
        """Show how far this process' reader of the log is behind; absent while that can't be found out. `read` may take long."""
        lookup = LagLookup(read)

        def readings() -> Readings:
            lag = lookup.latest()
            return {LAG_RECORDS: lag.records, LAG_SECONDS: lag.seconds, LAG_HELD: lag.held}

        self.add(readings)

    def readings(self) -> dict[Metric, Reading]:
        """All figures, as they are now."""
        found: dict[Metric, Reading] = {}
        for read in tuple(self._reads):
            try:
                found |= read()
            except DevicesyncError:
                continue
        return found

    def text(self) -> bytes:
        """What /metrics answers."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """See prometheus_client."""
        for metric, reading in self.readings().items():
            yield _family(metric, reading)

    def describe(self) -> list[Family]:
        """None: registering must not ask for figures yet."""
        return []


def _family(metric: Metric, reading: Reading) -> Family:
    family: Any = _FAMILIES[metric.kind](metric.name, metric.meaning, labels=metric.labels)
    for label, value in dict(reading).items() if isinstance(reading, Mapping) else [((), reading)]:
        values = (label,) if isinstance(label, str) else label
        if isinstance(value, Tally):
            family.add_metric(values, value.buckets(), value.sum)
        else:
            family.add_metric(values, value)
    found: Family = family
    return found


_FAMILIES: Mapping[str, Callable[..., Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
