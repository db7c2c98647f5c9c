"""What the metrics of `enrich` show of its enricher."""

from typing import TYPE_CHECKING

from devicesync.enrich.from_database import DatabaseEnricher
from devicesync.status import declared
from devicesync.status.declared import AGE_SECONDS, Readings
from devicesync.status.tally import Tally

if TYPE_CHECKING:
    from devicesync.enrich.enricher import Enricher


def readings_of(enricher: "Enricher | DatabaseEnricher") -> Readings:
    """The figures of its events, and of the near cache where there is one."""
    counts = enricher.counts
    of_events: Readings = {
        declared.ENRICH_EVENTS: counts.events,
        declared.ENRICH_HITS: counts.hits,
        declared.ENRICH_MISSES: counts.misses,
        declared.ENRICH_UNKNOWN: counts.unknown,
        declared.ENRICH_WITHOUT_DEVICE: counts.without_device,
        declared.ENRICH_MARKED: counts.marked,
        declared.ENRICH_AGE: Tally(AGE_SECONDS, counts.ages, counts.ages_sum_ms / 1000),
    }
    if isinstance(enricher, DatabaseEnricher):
        return of_events
    near, tracking = enricher.near, enricher.tracking
    return {
        **of_events,
        declared.ENRICH_INVALIDATED: near.invalidated,
        declared.ENRICH_LOST: tracking.lost,
        declared.ENRICH_DEVICES: len(near),
        declared.ENRICH_BYTES: near.bytes,
        declared.ENRICH_HEARS: near.is_open,
    }
