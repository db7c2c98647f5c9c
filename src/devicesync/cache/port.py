"""The cache: what telemetry jobs read.

It may lose any device at any time. It never holds what the database lacks: a change goes into the database first.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from devicesync.law.seen import Seen
from devicesync.law.state import State

NO_TICKETS: Mapping[str, str] = MappingProxyType({})
UNKNOWN: Mapping[str, bool] = MappingProxyType({})


class Looked(NamedTuple):
    """What `look` returns.

    held: the versions and times of each device that is in the cache. The values of its facets may be empty tuples.
    tickets: one text for each device. The ticket of a missing device is valid until somebody makes the entry. The ticket of a
        device that is held is valid until the cache loses the entry. A ticket that the cache has lost counts as invalid.
    unsettled: the devices in the cache whose database row may not show the same state yet. The cache only suspects it.
    """

    held: dict[str, State]
    tickets: dict[str, str]
    unsettled: list[str]

    def renewed(self, again: "Looked", device_ids: Collection[str]) -> "Looked":
        """The same, with what `again` says of these devices in place of what this says of them."""
        gone = {*device_ids}
        held = {device_id: state for device_id, state in self.held.items() if device_id not in gone}
        unsettled = [device_id for device_id in self.unsettled if device_id not in gone]
        return Looked(held | again.held, self.tickets | again.tickets, unsettled + again.unsettled)


class Merged(NamedTuple):
    """What `merge` left to do.

    missing: the devices whose ticket is no longer valid, and those that are not in the cache and had no ticket. Nothing was
        written for them: look again, and read the database.
    unsettled: the devices in the cache whose database row may not show the same state yet. Call Database.settle for them.
    """

    missing: list[str]
    unsettled: list[str]


class Advice(NamedTuple):
    """Something that works, but not as well as it could.

    detail: what that is. hint: what to do.
    """

    detail: str
    hint: str


class Cache(Protocol):
    """A change is joined into its device's entry, atomically, after the database has it.

    An entry is made only from what the database holds, and only if it has been missing ever since `look`.

    `look` comes first, and gives a ticket. If the entry was lost or made since then, `merge` writes nothing for that device and
    names it in `missing`. Then the caller looks again. Several processes may use one cache at once, unless it is private.

    is_private: the cache lives and dies with this process. Another process that opens the same URL gets another, empty one.
    """

    @property
    def is_private(self) -> bool:
        """See above."""
        ...

    def look(self, device_ids: Collection[str]) -> Looked:
        """Return what the cache holds of each device, and a ticket for its merge. Raises Unavailable."""
        ...

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        """Join each change into the entry of its device. Readers see the result when this returns.

        tickets: those that `look` gave. The change of a device that was missing must contain everything that the database held
            after `look` returned.
        shown: whether the database row shows exactly this state.
            True: the device becomes settled if the joined entry equals the state. Otherwise it becomes unsettled, because the row
            may hide what else the entry knows.
            False: the device becomes unsettled.
            Absent: nobody knows. A settled device stays settled, unless two writers did not know of each other's events.

        Raises Unavailable. Then any of the changes may have been written. Safe to repeat.
        """
        ...

    def forget(self, device_ids: Collection[str]) -> None:
        """Drop these entries. The next reader fills them again from the database. Raises Unavailable."""
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """Return the states of these devices. Devices that are not in the cache are absent. Raises Unavailable.

        An entry that can't be read, because another program wrote into it, is dropped and counts as absent.
        """
        ...

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """Return what readers see of these devices, whoever wrote it. Devices of which they see nothing are absent.

        Raises Unavailable.
        """
        ...

    def scan(self) -> Iterator[list[str]]:
        """Yield the ids of every entry, some hundred at a time.

        Keys of other programs may be among them, and an id may come twice. What is made or lost since the scan began may be
        absent. Raises Unavailable.
        """
        ...

    def replace(self, states: Mapping[str, State], marks: Mapping[str, str], shown: Mapping[str, bool] = UNKNOWN) -> list[str]:
        """Put each state in the place of its device's entry, atomically. Return the devices of which that was done.

        states: what the database held after `seen` returned.
        marks: those that `seen` gave. An entry whose mark has changed is left as it is: something was joined into it since.
        The entry gets another ticket: what a writer has put into the database since it looked may be missing in it.
        shown: as for `merge`.

        Raises Unavailable. Then any of it may have been done.
        """
        ...

    def expiring(self, device_ids: Sequence[str]) -> list[str]:
        """Return those whose entry will be lost at a time that this cache did not set. Raises Unavailable."""
        ...

    def time_left_ms(self, device_id: str) -> int | None:
        """Return in how many ms the device's entry will be lost. None: it stays, or there is none. Raises Unavailable."""
        ...

    def check(self) -> None:
        """Raise Unavailable unless the cache can be used: it answers, and may be read. The error says what is wrong."""
        ...

    def advice(self) -> list[Advice]:
        """Return what should be configured differently. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...
