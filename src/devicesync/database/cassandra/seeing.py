"""What readers of the tables see, by CQL alone: for an audit, which must not trust our own decoding."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.driver import Rows
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.law.seen import Seen

_NAMES = ("api_last_updated_on", "first_access", "user_declared_on", *FIELDS)


Pages = Callable[[str, int, int], Iterator[Rows]]
"""Reads a statement over tokens from the first to the last, page after page."""


def seen_of_row(row: Sequence[Any], erased: int) -> Seen | None:
    """What a row of schema.SEEN shows, of a device whose erase the ledger knows (0: none). None: it is no profile by itself."""
    version = row[2]
    if not version:
        return None
    profile = {name: value for name, value in zip(_NAMES, row[3:], strict=True) if value}
    for name in MAP_FIELDS:
        if name in profile:
            profile[name] = dict(profile[name])  # a driver may have its own kind of map
    return Seen(version, profile, erased)


def seen_between(pages: Pages, first: int, last: int) -> Iterator[tuple[Rows, Mapping[str, int]]]:
    """The rows of SEEN_IN over these tokens, some hundred at a time, and beside them the erases of all devices there.

    Each device comes once.
    """
    known: set[str] = set()  # the ids at the token where a page ended, with which the next one begins
    start = first
    for page in pages(schema.SEEN_IN, first, last):
        end = page[-1][0]
        yield [row for row in page if row[1] not in known], _erases(pages, start, end)
        known = {row[1] for row in page if row[0] == end}
        start = end + 1
    if start <= last:
        yield [], _erases(pages, start, last)


def _erases(pages: Pages, first: int, last: int) -> dict[str, int]:
    return {row[1]: row[2] for page in pages(schema.ERASURES_IN, first, last) for row in page if row[2]}
