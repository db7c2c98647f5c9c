"""What a process says of itself at a glance: the figures of its page, of /status.json and of `devicesync status`."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from devicesync.clock import SYSTEM
from devicesync.status import declared
from devicesync.status.declared import Metric, Reading
from devicesync.status.freshness import KEPT_SECONDS, Spread
from devicesync.status.metrics import Metrics

RECENT_SECONDS = 60
"""The figures of freshness and rate are those of so many last seconds."""

_TOTALS = {
    "read": declared.READ,
    "applied": declared.APPLIED,
    "stale": declared.STALE,
    "lost": declared.LOST,
    "retries": declared.RETRIES,
    "shipped": declared.SHIPPED,
    "backed_up": declared.BACKUP_RECORDS,
    "enriched": declared.ENRICH_WRITTEN,
}


def summary(metrics: Metrics, lacking: Mapping[str, str]) -> dict[str, Any]:
    """The document (docs/reference/json.md, "status"). What the process does not do is None or absent.

    lacking: what is not ready, and why.
    """
    readings = metrics.readings()
    refused = readings.get(declared.REFUSED, readings.get(declared.ENRICH_REFUSED))
    freshness = metrics.freshness
    recent = freshness and freshness.last(RECENT_SECONDS)
    return {
        "command": metrics.command,
        "version": version("devicesync"),
        "uses": metrics.uses,
        "time_ms": SYSTEM.now_ms(),
        "ready": not lacking,
        "lacking": dict(lacking),
        "freshness": recent and _spread(recent),
        "events_per_second": recent and round(recent.records / _seconds_counted(metrics), 2),
        "seconds": [_second(*each) for each in freshness.seconds(KEPT_SECONDS)] if freshness else [],
        "lag": _lag(readings),
        "totals": {name: readings[metric] for name, metric in _TOTALS.items() if metric in readings},
        "refused": dict(refused) if isinstance(refused, Mapping) else None,
        "audit": _audit(readings),
    }


def _seconds_counted(metrics: Metrics) -> float:
    """RECENT_SECONDS, or in a process that is younger its age."""
    return min(max(SYSTEM.monotonic() - metrics.began, 1.0), RECENT_SECONDS)


def _spread(spread: Spread) -> dict[str, float]:
    return {name: round(value, 2) for name, value in spread._asdict().items()}


def _second(second: int, spread: Spread) -> dict[str, float]:
    return {"at": second, **_spread(spread)}


def _audit(readings: Mapping[Metric, Reading]) -> dict[str, Reading | None] | None:
    checked, found = readings.get(declared.AUDIT_CHECKED), readings.get(declared.AUDIT_DIFFERENCES)
    if not isinstance(checked, int) or not isinstance(found, Mapping):
        return None
    differing = sum(int(count) for count in found.values() if isinstance(count, int | float))
    return {"checked": checked, "differing": differing, "bound_95": readings.get(declared.AUDIT_BOUND) if checked else None}


def _lag(readings: Mapping[Metric, Reading]) -> dict[str, Reading] | None:
    if declared.LAG_RECORDS not in readings:
        return None
    shown = {"records": declared.LAG_RECORDS, "seconds": declared.LAG_SECONDS, "held": declared.LAG_HELD}
    return {name: readings[metric] for name, metric in shown.items()}
