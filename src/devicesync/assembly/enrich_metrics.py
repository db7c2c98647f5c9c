"""What /metrics of `enrich` says of its enricher."""

from itertools import accumulate

from devicesync.enrich.counts import AGES_MS
from devicesync.enrich.enricher import Enricher
from devicesync.enrich.from_database import DatabaseEnricher
from devicesync.status.metrics import Metrics


def add_metrics(metrics: Metrics, enricher: Enricher | DatabaseEnricher) -> None:
    """Add the figures of its events, and of the near cache where there is one."""
    counts = enricher.counts
    figures = {
        "events": "Events that were looked at.",
        "hits": "Events whose device was remembered.",
        "misses": "Events whose device had to be read.",
        "unknown": "Events whose device the cache does not know.",
        "without_device": "Events without context.did, which go through untouched.",
        "marked": "Events that went on without devicedata while the cache was away.",
    }
    for name, meaning in figures.items():
        metrics.counter(f"devicesync_enrich_{name}_total", meaning, lambda name=name: getattr(counts, name))  # type: ignore[misc]
    metrics.histogram(
        "devicesync_enrich_age_seconds",
        "How old what was known of a device was when an event got it.",
        lambda: (
            [(str(edge / 1000), float(count)) for edge, count in zip(AGES_MS, accumulate(counts.ages), strict=False)]
            + [("+Inf", float(sum(counts.ages)))],
            counts.ages_sum_ms / 1000,
        ),
    )
    if isinstance(enricher, Enricher):
        near, tracking = enricher.near, enricher.tracking
        metrics.counter("devicesync_enrich_invalidated_total", "Devices forgotten: they changed.", lambda: near.invalidated)
        metrics.counter("devicesync_enrich_lost_total", "How often changes were not heard any more.", lambda: tracking.lost)
        metrics.gauge("devicesync_enrich_remembered_devices", "Devices that are remembered.", lambda: len(near))
        metrics.gauge("devicesync_enrich_remembered_bytes", "The memory that they take, about.", lambda: near.bytes)
        metrics.gauge("devicesync_enrich_hears_changes", "1 while changes are heard.", lambda: near.is_open)
