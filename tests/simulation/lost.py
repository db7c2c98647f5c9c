"""Records that a group has not read before the log's retention dropped them, or the topic was deleted.

The job that finds a loss by retention has to say so.
"""

import re
from collections.abc import Callable
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any
from unittest import mock

from devicesync.law import maps
from devicesync.law.event import MAX_BYTES, Event
from tests.law.specification import specified
from tests.simulation.scheduler import current

if TYPE_CHECKING:
    from tests.simulation.world import World

Place = tuple[int, int, int]
"""One of the topic's lives, a partition and an offset."""
_MOST_SUBSETS = 1 << 10


def life_of(metadata: str) -> int | None:
    """Of which of the topic's lives a commit is; None where it does not say so, -1 where there was no topic when it was asked for."""
    told = re.match(r'{"topic_id":"(\w+)"', metadata)
    return (int(told[1]) if told[1].isdigit() else -1) if told else None


class Told:
    """In place of the log of a module: what is said of lost records."""

    def __init__(self, tell: Callable[[str, int, range], None]) -> None:
        self._tell = tell

    def error(self, _: str, *, partition: int, offset: int, next_offset: int, hint: str) -> None:
        """See structlog."""
        del hint
        process: Any = current()
        self._tell(process.group, partition, range(offset, next_offset))

    def warning(self, _: str, **about: Any) -> None:
        """See structlog."""
        if "next_offset" in about:
            self.error(_, **about)


class Lost:
    """Which records no updater has to bring into the stores any more."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._told: dict[str, set[Place]] = {}
        self.places: set[Place] = set()

    def are_told(self, group: str, partition: int, offsets: range) -> None:
        """A job of the group has said so."""
        life = self._world.broker.topic_id
        self._told.setdefault(group, set()).update((life, partition, offset) for offset in offsets)

    def passes(self, group: str, place: Place) -> bool:
        """Whether the group may commit beyond a record that it has not read."""
        may = place in self._told.get(group, ())
        if may:
            self.places.add(place)
        return may

    def lawful(self, name: str, events: list[Event], by_place: dict[Place, Event]) -> list[Any]:
        """What the law makes of a device's events: the last of these, of all; the others, without some of those that are lost.

        Who wrote such a record into the log may have crashed between the stores, so each of them may know of others. Then nobody
        may have looked at the sizes of a tie's maps either.
        """
        lost = [by_place[place] for place in self.places if place in by_place and by_place[place].device_id == name]
        rest = [*events]
        for event in lost:
            rest.remove(event)
        some = chain.from_iterable(combinations(lost, count) for count in range(len(lost) + 1))
        sets = [[*rest, *subset] for subset, _ in zip(some, range(_MOST_SUBSETS), strict=False)]
        if not lost:
            return [specified(events)]
        with mock.patch.multiple(maps, MOST_ENTRIES=len(events) * maps.MOST_ENTRIES, LONGEST_UNITED=MAX_BYTES):
            united = [specified(set_) for set_ in sets if set_]
        return [*united, *[specified(set_) for set_ in (*sets, events) if set_]]
