"""What records take in memory, about."""

from typing import Final

from devicesync.log.full import HEADERS, KEY, VALUE, FullRecord
from devicesync.log.port import Headers

CHARACTER_BYTES: Final = 4
"""For each character of a header's name, if one of them lies beyond ASCII: Python may keep them so."""
HEADER_BYTES: Final = 72
"""What a header counts beside its name and value: so much the reading of a backup's file needs."""


def bytes_of(record: FullRecord) -> int:
    """The bytes of its key, value and headers, 72 more for each header."""
    headers = record[HEADERS] or []
    return len(record[KEY] or b"") + len(record[VALUE] or b"") + HEADER_BYTES * len(headers) + bytes_of_headers(headers)


def bytes_of_headers(headers: Headers) -> int:
    """The bytes of their names and values."""
    return sum(len(name) * (1 if name.isascii() else CHARACTER_BYTES) + len(value or b"") for name, value in headers)
