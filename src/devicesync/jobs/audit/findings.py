"""What an audit has counted, and what that proves."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from devicesync.jobs.audit.difference import KINDS
from devicesync.status.words import most_of


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
