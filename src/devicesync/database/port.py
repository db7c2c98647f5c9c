"""The database of record. It holds every device, the erased ones too."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from devicesync.law.seen import Seen
from devicesync.law.state import State


class Stored(NamedTuple):
    """What a database holds of some devices.

    states: the state of each device by its id. Unknown devices are absent.
    unsettled: the devices whose row shows its readers another state than `states` has. Another program wrote the row, or two
        writers wrote it without knowing of each other's write. `settle` repairs such a row.
    """

    states: dict[str, State]
    unsettled: list[str]


class Database(Protocol):
    """Joins states by device. Several processes may use one database at once.

    merges_in_place: True for a database that reads a device's state, joins the change into it and writes the result. False for
        one that writes without reading, such as Cassandra. Its `merge` must be given only what is new (law.news). What
        such writes can't join, `settle` repairs: an erase, for example, and a later registration whose writer did not know it.
    threads: how many threads of a process may use it at once.
    identity: a text that names this database. Each kind of database has its own. That of SQLite changes when its file is lost
        and made again. Cassandra's never changes: a recreated keyspace can't be told from the old one.
    """

    @property
    def identity(self) -> str:
        """See above."""
        ...

    @property
    def merges_in_place(self) -> bool:
        """Whether `merge` reads before it writes; see above."""
        ...

    @property
    def threads(self) -> int:
        """See above."""
        ...

    def create(self) -> list[str]:
        """Make what is missing, and leave what exists as it is. Returns the columns that it added to tables that were there.

        Raises Unavailable.
        """
        ...

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """Join each change into the state of its device. Return when the result is durable.

        Returns the joined states where the database merges in place, else an empty dict. Such a database may leave changes if
        its rows are large, for what is held at once has a bound (few.py). It returns no state of these: merge them again.

        Raises Unavailable. Then any of the changes may have been written. Safe to repeat.
        """
        ...

    def settle(self, states: Mapping[str, State]) -> None:
        """Write each state completely, so that its row shows it. A database that merges in place treats it as `merge`.

        states: what the cache holds of each device, or what the database holds joined with what is new. What another process
            writes meanwhile is kept.

        Raises Unavailable. Safe to repeat.
        """
        ...

    def look(self, device_ids: Collection[str]) -> Stored:
        """Return the states of these devices, and which rows do not show them. Raises Unavailable."""
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """Return the states of these devices. Unknown devices are absent. Raises Unavailable."""
        ...

    @property
    def ranges(self) -> int:
        """Into how many ranges `scan` divides the devices, so that several processes can share a scan, and resume it."""
        ...

    def scan(self, number: int) -> Iterator[list[str]]:
        """Yield the ids of every device of one range (0 to ranges - 1), the erased ones too, some hundred at a time.

        An id may come twice. A device that is new since the scan began may be absent. Raises Unavailable.
        """
        ...

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """Return what readers of the table see of these devices, whoever wrote it.

        Devices with neither a profile nor a known erase are absent. Raises Unavailable.
        """
        ...

    def seen_in(self, number: int) -> Iterator[dict[str, Seen]]:
        """Yield what readers see of every device of one range, as `scan` goes through it. No device comes twice.

        Raises Unavailable.
        """
        ...

    def range_of(self, device_id: str) -> int:
        """Return the number of the range in which this device lies, whether the database knows it or not."""
        ...

    def applied(self, log: str) -> int | None:
        """Return the number of the record in the log with this identity before which the rows have everything.

        0 where it kept none for this log. None where it keeps none at all: Cassandra, and a file that an older release made.

        Raises Unavailable.
        """
        ...

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        """Keep for `applied` that the rows have everything of each log before its position. Raises Unavailable.

        It need not be durable: it is lost before the rows are, never after. The identity may change with the first call.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable unless the database can be used: it answers, and may be read.

        The error says what is wrong and how to mend it.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
