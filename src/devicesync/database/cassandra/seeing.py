"""What readers of the tables see, by CQL alone: for an audit, which must not trust our own decoding."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.driver import Rows
from devicesync.database.cassandra.stamps import erase_at, moment_of
from devicesync.law.facets import FIELDS
from devicesync.law.maps import map_text
from devicesync.law.seen import Seen

_TIMES = ("api_last_updated_on", "first_access", "user_declared_on")
_NAMES = (*_TIMES, *FIELDS)

IDS_PER_PAGE, _ROWS_PER_PAGE = 500, 100

Pages = Callable[[str, int, int, int], Iterator[tuple[Rows, int]]]
"""Reads a statement over tokens from the first to the last, so many rows a page: rows, and up to which token all were read."""


def seen_of_row(row: Sequence[Any], erased: int) -> Seen | None:
    """What a row of schema.SEEN shows, of a device whose erase the ledger knows (0: none). None: it is no profile by itself."""
    version = moment_of(row[2])
    if version is None:
        return None
    texts = {name: _text(value) for name, value in zip(_NAMES, row[3:], strict=True) if value}
    return Seen(version, texts, erased)


def seen_between(pages: Pages, first: int, last: int) -> Iterator[tuple[Rows, Mapping[str, int]]]:
    """The rows of SEEN_IN over these tokens, some hundred at a time, and beside them the erases of all devices there.

    Each device comes once.
    """
    known: set[str] = set()  # the ids at the token where a page ended, with which the next one begins
    start = first
    for rows, end in pages(schema.SEEN_IN, first, last, _ROWS_PER_PAGE):
        erases = {
            row[1]: erased
            for page, _ in pages(schema.ERASURES_IN, start, end, IDS_PER_PAGE)
            for row in page
            if (erased := erase_at(row[2]))
        }
        yield [row for row in rows if row[1] not in known] if known else rows, erases
        known = {row[1] for row in rows if row[0] == end}
        start = end + 1


def _text(value: Any) -> str:
    """A text, or a time in ms, or a map of too many entries (driver.Rows)."""
    return str(map_text(dict(value)) if isinstance(value, Mapping) else value)
