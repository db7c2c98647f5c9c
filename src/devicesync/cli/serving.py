"""The API beside an updater, in one process."""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from devicesync import adapters
from devicesync.api.metrics import Metrics
from devicesync.api.service import api
from devicesync.config import Settings
from devicesync.jobs.update import READER
from devicesync.status.lag import lag_of

if TYPE_CHECKING:
    from devicesync.assembly import Embedded, GroupMember
    from devicesync.stores import Stores


def api_beside(settings: Settings, assembled: "Embedded | GroupMember") -> AbstractContextManager[tuple[str, str]]:
    """Serve the API over the updater's log; it reads the updater's own cache where that is in memory."""

    def open_stores() -> "Stores":
        stores = adapters.open_stores_to_read(settings)
        return stores._replace(cache=assembled.stores.cache) if settings.cache.startswith("memory:") else stores

    metrics = Metrics()
    reader = assembled.reader
    counts = assembled.updater.counts
    metrics.counter("devicesync_updater_applied_total", "Events handed through the law.", lambda: counts.applied)
    metrics.refused(counts.dead)
    metrics.counter("devicesync_updater_lost_total", "Records that were gone before they were read.", lambda: reader.lost)
    metrics.lag(lambda: lag_of(settings, READER))
    return api(settings, assembled.log, open_stores, metrics)
