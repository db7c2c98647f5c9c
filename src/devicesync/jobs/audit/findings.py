"""What an audit has counted, and what that proves."""

import math
from collections import Counter
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Self

from devicesync.jobs.audit.difference import KINDS

_Z_95 = 1.6449
_NONE_FOUND = 3.0
_MOST_NINES = 12


class Findings:
    """What an audit has counted so far. `+=` adds another's.

    checked: devices of a sweep, or events of the log, that were looked at.
    differences: of each kind (difference.KINDS) how many were still there at the last look, those that were repaired since too.
    expiring: entries that would have been lost at a time that another program set.
    repaired: how many differences and expiring entries are none any more.
    moving: how many differed at the last look, but not as before: the device went on changing. They are no differences.
    """

    def __init__(
        self,
        checked: int = 0,
        differences: Mapping[str, int] | None = None,
        *,
        expiring: int = 0,
        repaired: int = 0,
        moving: int = 0,
    ) -> None:
        self.checked = checked
        self.differences = Counter(dict.fromkeys(KINDS, 0) | dict(differences or {}))
        self.expiring = expiring
        self.repaired = repaired
        self.moving = moving

    def __iadd__(self, other: "Findings") -> Self:
        self.checked += other.checked
        self.differences.update(other.differences)
        self.expiring += other.expiring
        self.repaired += other.repaired
        self.moving += other.moving
        return self

    @property
    def differing(self) -> int:
        """How many differ, of all kinds."""
        return self.differences.total()

    @property
    def left(self) -> int:
        """How much of what was found is not repaired."""
        return self.differing + self.expiring - self.repaired

    @property
    def bound_95(self) -> float | None:
        """At most this share differs, at 95 %; None where nothing was checked."""
        return most_of(self.differing) / self.checked if self.checked else None

    def counts(self) -> dict[str, Any]:
        """The arguments of another Findings like this."""
        return {
            "checked": self.checked,
            "differences": dict(self.differences),
            "expiring": self.expiring,
            "repaired": self.repaired,
            "moving": self.moving,
        }

    def document(self) -> dict[str, Any]:
        """As `audit --json` prints it (docs/reference/json.md, "audit")."""
        return self.counts() | {"bound_95": self.bound_95}


def most_of(found: int) -> float:
    """How many there may be at most, at 95 %, where so many were found: 3 where none was.

    It is the upper end of the one-sided interval of a Poisson count, in the form of Wilson and Hilferty.
    """
    if not found:
        return _NONE_FOUND
    shape = found + 1
    return shape * (1 - 1 / (9 * shape) + _Z_95 / (3 * math.sqrt(shape))) ** 3


def nines(share: float) -> str:
    """What does not differ where at most this share does, with so many nines as are proved: 0.000003 gives "99.9997 %"."""
    whole = max(1 - Decimal(repr(share)), Decimal(0)) * 100
    places = min(max(math.ceil(-math.log10(share)) - 2, 0), _MOST_NINES) if share > 0 else _MOST_NINES
    return f"{whole.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)} %"  # never rounded up: that would promise more
