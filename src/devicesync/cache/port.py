"""The cache: what telemetry jobs read. It may lose any device at any time, and it never holds what the database lacks."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from devicesync.law.state import State

NO_TICKETS: Mapping[str, str] = MappingProxyType({})
UNKNOWN: Mapping[str, bool] = MappingProxyType({})


class Looked(NamedTuple):
    """What `look` says.

    held: of each device in the cache its versions and times. A facet has its version, but no values.
    tickets: one for each device. It stays good as long as the device stays missing, and then as long as the entry made with it
        stays: an entry that was lost and filled again has another.
    unsettled: the devices held that the database may not show yet as they are held here.
    """

    held: dict[str, State]
    tickets: dict[str, str]
    unsettled: list[str]


class Merged(NamedTuple):
    """What `merge` did not do, and what is left to do.

    missing: the devices whose ticket is no longer good, or that are not in the cache and came without one. Nothing was written
        for them.
    unsettled: the devices held that the database may not show yet as they are held here. Settle them there.
    """

    missing: list[str]
    unsettled: list[str]


class Advice(NamedTuple):
    """Something that works, but not as well as it could: what, and what to do."""

    detail: str
    hint: str


class Cache(Protocol):
    """A change is joined into its device's entry, atomically, after the database has it.

    An entry is made only from what the database holds, and only if it has been missing ever since that was looked up. What was
    made knowing an entry is joined into that one alone, not into one that was filled since.

    Several processes may use one cache at once, unless it is private.

    is_private: the cache lives and dies with this process. Another process that opens the same URL gets another, empty one.
    """

    @property
    def is_private(self) -> bool:
        """See above."""
        ...

    def look(self, device_ids: Collection[str]) -> Looked:
        """Say of each device what is held, and give a ticket for its merge. Raises Unavailable."""
        ...

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        """Join each change into its device's entry. Readable when it returns.

        tickets: of devices that may be missing, and of those whose changes were made knowing what was held. The changes of the
            missing ones contain everything that the database held after the ticket was given out.
        shown: whether the database shows exactly this state. Yes: a device that is held so is settled. No: it is unsettled.

        Raises Unavailable. Then any part may have been written. Repeating is harmless.
        """
        ...

    def forget(self, device_ids: Collection[str]) -> None:
        """Drop these entries. They are filled again from the database. Raises Unavailable."""
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """What is held of these devices; devices not held are left out. Raises Unavailable.

        An entry that cannot be read, because another program wrote into it, is dropped and counts as not held.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable, saying what is wrong, unless the cache can be used."""
        ...

    def advice(self) -> list[Advice]:
        """What should be set differently. Raises Unavailable."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
