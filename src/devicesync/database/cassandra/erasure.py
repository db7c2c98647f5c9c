"""What the ledger `device_erasure` knows of a device."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from devicesync.database.cassandra.stamps import MOST_TIES, erase_at, minimum_of, moment_of
from devicesync.law import maps
from devicesync.law.facets import DECLARED, EMPTIED_BY_TIES, FACETS, MAPS

_DIGITS = 32


class Erasure(NamedTuple):
    """What the ledger knows of a device.

    version: the highest erase's, in µs; 0 when never erased.
    ties: of each facet, in the order of FACETS, the versions at which a tie emptied it, in µs.
    user_declared_on: ms, while it hides; else 0.
    long_maps: of each facet, the marks (mark_of) of the long maps that were written last.
    """

    version: int = 0
    ties: tuple[frozenset[int], ...] = (frozenset(),) * len(FACETS)
    user_declared_on: int = 0
    long_maps: tuple[frozenset[str], ...] = (frozenset(),) * len(FACETS)

    @property
    def tells_of_row(self) -> bool:
        """Whether it has what was written after the row: that a tie emptied a facet, or the mark of a long map."""
        return any(self.ties) or any(self.long_maps)

    @property
    def has_all_ties(self) -> bool:
        """Whether so many ties emptied what was declared, since the last erase, that there is no room for another one."""
        return sum(version > self.version for version in self.ties[DECLARED]) >= MOST_TIES

    @property
    def forgettable(self) -> int:
        """Up to which version, in µs, the ties of user_declared need not be kept; 0 where all must."""
        return sorted(self.ties[DECLARED])[-MOST_TIES - 1] if len(self.ties[DECLARED]) > MOST_TIES else 0

    def knows(self, spot: int, version: int, values: Sequence[str | None]) -> bool:
        """Whether it has the mark of this map, as text, if that is long. Whoever wrote the row may have died before the mark."""
        (text,) = values
        return not text or not maps.is_long(text) or mark_of(version, text) in self.long_maps[spot]

    def has_several(self, spot: int, version: int, text: str | None) -> bool:
        """Whether what a row shows of a facet, a map as text, is made of several, and a long one of them is not this very one."""
        marks = [mark for mark in self.long_maps[spot] if mark.startswith(f"{version} ")]
        return bool(marks) and marks != [mark_of(version, text or "")]


NO_ERASURE = Erasure()


def erasure_of(row: Sequence[Any]) -> tuple[str, Erasure]:
    """A device's id and erasure, from a row of schema.READ_ERASURES."""
    device_id, version, hidden, *rest = row
    count = len(EMPTIED_BY_TIES)
    ties = {spot: map(moment_of, found or ()) for spot, found in zip(EMPTIED_BY_TIES, rest[:count], strict=True)}
    long_maps = dict(zip(MAPS, rest[count:], strict=True))
    return device_id, Erasure(erase_at(version), _of_facets(ties), minimum_of(hidden), _of_facets(long_maps))


def mark_of(version: int, text: str) -> str:
    """What the ledger keeps of a long map: its version in µs, and the beginning of its SHA-256."""
    return f"{version} {hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]}"


def _of_facets(found: dict[int, Any]) -> tuple[frozenset[Any], ...]:
    return tuple(frozenset(found.get(spot) or ()) for spot in range(len(FACETS)))
