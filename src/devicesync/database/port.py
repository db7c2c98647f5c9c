"""The database of record: it holds every device, the erased ones too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from devicesync.law.state import State


class Database(Protocol):
    """Safe for several processes at once.

    reads_to_merge: True for a database that reads what it holds in order to merge: it computes every minimum itself, and
        `merge` returns the states it then holds. False for one that writes blindly (Cassandra, without light-weight
        transactions): it takes `first_access` and `user_declared_on` as the change gives them, so the caller joins in
        what the cache's merge came to know (cache.port.Merged), and `merge` returns nothing.
    """

    @property
    def reads_to_merge(self) -> bool:
        """See above."""
        ...

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """Join each change into what is held of its device. Durable when it returns.

        Raises Unavailable: then any part may have been written, and repeating is harmless.
        """
        ...

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """What is held of these devices; unknown devices are left out. Raises Unavailable."""
        ...

    def erased(self, device_ids: Sequence[str]) -> dict[str, int]:
        """Of each of these devices that was ever erased, live again or not, the highest erase's version in µs.

        Cheaper than `read`. Raises Unavailable.
        """
        ...

    @property
    def parts(self) -> int:
        """Into how many parts `scan` cuts the devices: enough to share the work out, and to resume at."""
        ...

    def scan(self, part: int) -> Iterator[dict[str, State]]:
        """Every device of one part (0 to parts - 1), the erased ones too, some hundred at a time; one may come twice.

        Devices that change meanwhile come as before or after the change. Raises Unavailable.
        """
        ...

    def check(self) -> None:
        """Raise Unavailable, saying what is wrong and how to mend it, unless the database can be used."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...
