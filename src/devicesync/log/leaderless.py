"""Partitions of a log that have no leader. It is told once that they have none, and once that they have one again."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any
from weakref import WeakSet

import structlog

HINT = "bring back the brokers that hold their replicas; `devicesync doctor` names the partitions"
_log: Any = structlog.get_logger("devicesync")
_every: "WeakSet[Leaderless]" = WeakSet()


class Leaderless:
    """What a log's user knows of them. consequence: what it does without them, in words.

    partitions: those that have no leader, as far as is known.
    """

    def __init__(self, consequence: str) -> None:
        self.partitions: frozenset[int] = frozenset()
        self._consequence = consequence
        _every.add(self)

    def found(self, partitions: AbstractSet[int]) -> None:
        """Note that these have none now, and all others have one."""
        lost, regained = partitions - self.partitions, self.partitions - partitions
        self.partitions = frozenset(partitions)
        if lost:
            _log.error(f"partitions of the log have no leader: {self._consequence}", partitions=sorted(lost), hint=HINT)
        if regained:
            _log.warning("partitions of the log have a leader again", partitions=sorted(regained))


def named(partitions: Iterable[int]) -> str:
    """Their numbers, in order, as a message has them."""
    return ", ".join(map(str, sorted(partitions)))


def leaderless() -> set[int]:
    """The partitions of the log that have no leader, as far as this process knows."""
    return set().union(*(each.partitions for each in tuple(_every)))
