"""The Device Register API, alone or beside an updater in one process."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from devicesync import data_directory
from devicesync.api.service import api
from devicesync.assembly import adapters, named_log
from devicesync.assembly.admin import used
from devicesync.assembly.lag import lag_of
from devicesync.assembly.sight import sight_of, stores_beside
from devicesync.assembly.spans import spans_of
from devicesync.assembly.updater import Embedded, GroupMember, readings_of
from devicesync.config import Settings
from devicesync.jobs.shared import patience
from devicesync.jobs.update import READER
from devicesync.status.metrics import Metrics
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.stores import Stores

_USED = ("log", "cache", "database")


@contextmanager
def api_alone(settings: Settings) -> Iterator[tuple[str, str]]:
    """Serve while the body runs; the addresses of the API and of the admin port. Raises WrongUse, Unavailable."""
    adapters.check_cache(settings)
    if not named_log.is_shared(settings):
        data_directory.prepare(settings.directory)

    def open_stores() -> Stores:
        return adapters.open_stores_to_read(settings)

    with (
        closing(adapters.open_log(settings)) as log,
        sight_of(settings, log, open_stores) as sight,
        spans_of("api", settings) as spans,
        api(settings, log, open_stores, Metrics("api", used(settings, *_USED)), sight, spans=spans) as addresses,
    ):
        yield addresses


@contextmanager
def api_beside(
    settings: Settings, assembled: Embedded | GroupMember, stop: threading.Event, spans: Spans = NO_SPANS
) -> Iterator[tuple[str, str]]:
    """Serve the API over the updater's log. It reads the updater's private cache, where no other updater writes.

    stop: the updater's. The API goes by it, too: each may have to wait for Kafka before it ends.
    """

    def open_stores() -> Stores:
        return stores_beside(settings, assembled)

    metrics = Metrics("up", used(settings, *_USED))
    metrics.add(lambda: readings_of(assembled))
    metrics.add(patience.readings)
    metrics.add_lag(lambda: lag_of(settings, READER))
    metrics.freshness = assembled.updater.counts.freshness
    with (
        sight_of(settings, assembled.log, open_stores) as sight,
        api(settings, assembled.log, open_stores, metrics, sight, spans=spans, is_over=stop.is_set) as addresses,
    ):
        yield addresses
