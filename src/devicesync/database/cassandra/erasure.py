"""What the ledger `device_erasure` knows of a device."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from devicesync.database.cassandra import schema
from devicesync.law.facets import FACETS

TIED = {spot: facet.name for spot, facet in enumerate(FACETS) if facet.name in schema.REMEMBER_TIES}
"""The facets whose ties the ledger remembers, by their index."""


class Erasure(NamedTuple):
    """What the ledger knows of a device.

    version: the highest erase's, in µs; 0 when never erased.
    location, user_declared: the versions at which a tie emptied the facet, in µs.
    user_declared_on: ms, while it hides; else 0.
    """

    version: int = 0
    location: frozenset[int] = frozenset()
    user_declared: frozenset[int] = frozenset()
    user_declared_on: int = 0

    @property
    def has_ties(self) -> bool:
        """Whether a tie emptied a facet of this device."""
        return bool(self.location or self.user_declared)


NO_ERASURE = Erasure()


def erasure_of(row: Sequence[Any]) -> tuple[str, Erasure]:
    """A device's id and erasure, from a row of schema.READ_ERASURES."""
    device_id, version, location, declared, hidden = row
    return device_id, Erasure(version or 0, frozenset(location or ()), frozenset(declared or ()), hidden or 0)
