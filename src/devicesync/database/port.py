"""The database of record: it holds every device, the erased ones too."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from devicesync.law.state import State


class Stored(NamedTuple):
    """What a database holds of some devices.

    states: unknown devices are left out.
    unsettled: the devices whose row shows something else than their state: another job wrote it, or writes met there that did
        not know of each other. `settle` puts it right.
    """

    states: dict[str, State]
    unsettled: list[str]


class Database(Protocol):
    """Safe for several processes at once.

    merges_in_place: True for a database that reads what it holds in order to merge. False for one that writes without reading
        (Cassandra, without light-weight transactions). Its `merge` takes only what the caller knows to be new (law.news),
        and what it alone cannot join is left to `settle`.
    threads: how many threads of a process may use it at once.
    identity: another when the database was lost and made anew, where that can be told, and of each kind of database.
    """

    identity: str

    @property
    def merges_in_place(self) -> bool:
        """See above."""
        ...

    @property
    def threads(self) -> int:
        """See above."""
        ...

    def create(self) -> list[str]:
        """Make what is missing, and leave what exists as it is; the columns that were added to tables that were there.

        Raises Unavailable.
        """
        ...

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """Join each change into what is held of its device. Durable when it returns.

        Returns the states held afterwards where the database merges in place, else nothing.

        Raises Unavailable. Then any part may have been written. Repeating is harmless.
        """
        ...

    def settle(self, states: Mapping[str, State]) -> None:
        """Write whole states, and whatever else it takes that each row shows its state.

        states: each as the cache holds it, or as the database holds it joined with what is new. What another writer has under way
            may be missing: it is kept.

        Raises Unavailable. Repeating is harmless.
        """
        ...

    def look(self, device_ids: Collection[str]) -> Stored:
        """What is held of these devices, and which rows do not show it. Raises Unavailable."""
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """What is held of these devices; unknown devices are left out. Raises Unavailable."""
        ...

    @property
    def ranges(self) -> int:
        """How many ranges of devices `scan` can be asked for, so that several processes share the work and resume it."""
        ...

    def scan(self, number: int) -> Iterator[list[str]]:
        """The ids of every device of one range (0 to ranges - 1), the erased ones too, some hundred at a time.

        An id may come twice. A device that comes meanwhile may be left out. Raises Unavailable.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable, saying what is wrong and how to mend it, unless the database can be used."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
