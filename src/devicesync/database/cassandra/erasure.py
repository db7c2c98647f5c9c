"""What the ledger `device_erasure` knows of a device."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from devicesync.law.facets import EMPTIED_BY_TIES, FACETS


class Erasure(NamedTuple):
    """What the ledger knows of a device.

    version: the highest erase's, in µs; 0 when never erased.
    ties: of each facet, in the order of FACETS, the versions at which a tie emptied it, in µs.
    user_declared_on: ms, while it hides; else 0.
    """

    version: int = 0
    ties: tuple[frozenset[int], ...] = (frozenset(),) * len(FACETS)
    user_declared_on: int = 0

    @property
    def has_ties(self) -> bool:
        """Whether a tie emptied a facet of this device."""
        return any(self.ties)


NO_ERASURE = Erasure()


def erasure_of(row: Sequence[Any]) -> tuple[str, Erasure]:
    """A device's id and erasure, from a row of schema.READ_ERASURES."""
    device_id, version, hidden, *tied = row
    ties = dict(zip(EMPTIED_BY_TIES, tied, strict=True))
    return device_id, Erasure(version or 0, tuple(frozenset(ties.get(spot) or ()) for spot in range(len(FACETS))), hidden or 0)
