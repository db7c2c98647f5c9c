"""An embedded database whose every call waits for its turn and has a fate. What it does in one call is all or nothing."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from devicesync.database.port import Database, Stored
from devicesync.errors import Unavailable
from devicesync.law.seen import Seen
from devicesync.law.state import State
from tests.simulation.scheduler import done, gate

T = TypeVar("T")


class GatedDatabase:
    """See port.Database."""

    merges_in_place = True
    ranges = 1
    threads = 1

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def identity(self) -> str:
        """See port.Database."""
        return self._database.identity

    def create(self) -> list[str]:
        """See port.Database."""
        return []

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        return _under("merge", lambda: self._database.merge(changes))

    def settle(self, states: Mapping[str, State]) -> None:
        """See port.Database."""
        _under("settle", lambda: self._database.settle(states))

    def look(self, device_ids: Collection[str]) -> Stored:
        """See port.Database."""
        return _under("look", lambda: self._database.look(device_ids))

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        return _under("read", lambda: self._database.read(device_ids))

    def scan(self, number: int) -> Iterator[list[str]]:
        """See port.Database."""
        del number
        pages = [page for number in range(self._database.ranges) for page in self._database.scan(number)]
        return iter(_under("scan", lambda: pages))

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Database."""
        return _under("seen", lambda: self._database.seen(device_ids))

    def seen_in(self, number: int) -> Iterator[dict[str, Seen]]:
        """See port.Database."""
        del number
        pages = [page for number in range(self._database.ranges) for page in self._database.seen_in(number)]
        return iter(_under("seen in", lambda: pages))

    def range_of(self, device_id: str) -> int:
        """See port.Database."""
        return self._database.range_of(device_id)

    def applied(self, log: str) -> int | None:
        """See port.Database."""
        return _under("applied", lambda: self._database.applied(log))

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        """See port.Database."""
        _under("keep applied", lambda: self._database.keep_applied(positions))

    def check(self) -> None:
        """See port.Database."""

    def close(self) -> None:
        """See port.Database."""


def _under(what: str, call: Callable[[], T]) -> T:
    fate: Any = gate(f"SQLite {what}")
    if fate in ("is refused", "is done by half"):
        raise Unavailable(fate)
    result = call()
    done(fate)
    if fate != "goes on":
        raise Unavailable(fate)
    return result
