"""Cells that nothing which comes later overwrites: another program wrote them at a timestamp which no write of ours can have.

Or our own deletions of user_declared_on have used up their timestamps (stamps.py).
"""

from collections.abc import Sequence
from typing import Any

import structlog

from devicesync.database.cassandra.erasure import Erasure
from devicesync.database.cassandra.stamps import LAST_SLOT, OURS, minimum_of, stamp_of
from devicesync.law.facets import FIELDS
from devicesync.law.version import LATEST_US

_MOST_NAMED = 1000
FOREIGN = {
    "event": "another program wrote cells of a device that no event can change: their timestamp lies ahead of every clock",
    "hint": "µs belong into USING TIMESTAMP; docs/faults.md says how such cells are removed",
}
TIED = {
    "event": "so many ties left a device nothing declared that Cassandra shows its user_declared_on no more",
    "hint": "who writes several registrations with one version? An erase of the device makes room; see docs/faults.md",
}
_log: Any = structlog.get_logger("devicesync")


def is_out_of_reach(row: Sequence[Any], erasure: Erasure) -> bool:
    """Whether a row (schema.read, without the id) has such a cell. A deletion can't be seen."""
    _, first_access, declared_on, _, updated_at, first_at, declared_at, date_at, *rest = row
    written = (updated_at, date_at, *rest[len(FIELDS) :])
    return (
        any(time is not None and time >= LATEST_US for time in written)
        or _is_beyond(first_access, first_at, erasure)
        or _is_beyond(declared_on, declared_at, erasure)
    )


def _is_beyond(value_ms: int | None, written_at: int | None, erasure: Erasure) -> bool:
    """Whether a minimum was written later than its value allows. The ledger knows of an erase before the row does."""
    value = minimum_of(value_ms)
    latest = stamp_of(value, erasure.version, LAST_SLOT) if value or erasure.version else OURS
    return written_at is not None and written_at > latest


class OutOfReach:
    """Says of each device once that a cell of it is out of reach, and of a thousand devices at most."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def say(self, device_id: str, event: str, hint: str) -> None:
        """Log it."""
        if device_id in self._named or len(self._named) == _MOST_NAMED:
            return
        self._named.add(device_id)
        _log.error(event, device_id=device_id, hint=hint)
