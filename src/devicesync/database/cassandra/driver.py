"""What CassandraDatabase asks of a driver."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from cassandra.util import OrderedMap

from devicesync.database.cassandra.call import Request
from devicesync.law import maps

Rows = list[tuple[Any, ...]]
"""A map is its JSON text (law/maps.py). One that has too many entries to be a value, by many ties, is a mapping."""

_MAPS = (dict, OrderedMap)
IN_FLIGHT = 512
REQUEST_SECONDS = 10.0
CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 1.0
"""Not the drivers' own, which back off to minutes: freshness suffers for as long as a node is not seen again."""


def longest_seconds(requests: int) -> float:
    """How long so many requests may take: each is given up after REQUEST_SECONDS, and IN_FLIGHT are under way at once."""
    return (2 + requests / IN_FLIGHT) * REQUEST_SECONDS


class Failed(Exception):
    """The driver could not do it; its own error is the cause."""


def rows_of(found: Iterable[Sequence[Any]]) -> Rows:
    """The rows of one answer. Call it as the answer comes: apart, the entries of many maps need twenty times as much memory."""
    return [tuple([_text(value) if isinstance(value, _MAPS) else value for value in row]) for row in found]


def succeeded(outcome: Rows | Failed) -> Rows:
    """Return the rows. Raises Failed where the call failed."""
    if isinstance(outcome, Failed):
        try:
            raise outcome
        finally:
            del outcome  # else it holds itself, by its traceback, and with it all that was to be written
    return outcome


class Driver(Protocol):
    """A connected session. Safe for several threads at once."""

    def query(self, cql: str) -> Rows:
        """Run a statement that has no values. Raises Failed."""
        ...

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """Run calls, prepared once each, at most IN_FLIGHT at once, and say of each how it went: a time-out has failed.

        Returns within `longest_seconds`, whatever the servers do.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


def _text(entries: Any) -> Any:
    return entries if len(entries) > maps.MOST_ENTRIES else maps.map_text(dict(entries))
