"""What the pages of a Parquet file say of themselves, in front of each (Thrift's compact protocol).

Readers make as much room for a page as it says, and unpack it as it says. The file's footer may say something else.
A field that comes twice, or has another type or number than it may have, is refused: Arrow may take it for something else.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from devicesync.archive.parquet_footer import Column
from devicesync.archive.thrift_compact import I32, Reader
from devicesync.durable import opened

DATA_PAGE = 0
PLAIN = 0
_MOST_HEAD_BYTES = 4096
_TYPE, _UNPACKED, _PACKED, _DATA, _COUNT, _ENCODING = 1, 2, 3, 5, 1, 2
"""The numbers of fields: of a page's head, and of the part for a page of data."""
_HEAD_TYPES = {_TYPE: I32, _UNPACKED: I32, _PACKED: I32, _DATA: {_COUNT: I32, _ENCODING: I32}}


class Page(NamedTuple):
    """bytes: what it takes unpacked. values: how many are in it, of a page of data."""

    kind: int
    bytes: int
    values: int
    encoding: int


def pages_of(path: Path, columns: Sequence[Column]) -> Iterator[tuple[int, Page]]:
    """Yield every page of a row group, with its column's number. Raises OSError, ValueError for a head that can't be read."""
    with opened(path) as file:
        end = file.seek(0, 2)
        for number, column in enumerate(columns):
            if column.begin <= 0 or not 0 < column.bytes <= end - column.begin:
                raise ValueError("a column is nowhere")
            for page in _pages_between(file, column.begin, column.begin + column.bytes):
                yield number, page


def _pages_between(file: BinaryIO, first: int, end: int) -> Iterator[Page]:
    """Only the first page may have no values: that of a dictionary. Of others a few bytes each would be looked at one by one."""
    begin = first
    while begin < end:
        file.seek(begin)
        head = Reader(file.read(_MOST_HEAD_BYTES), "a page's head")
        fields = head.struct(_HEAD_TYPES)
        kind, unpacked, packed = (fields.get(number, 0) for number in (_TYPE, _UNPACKED, _PACKED))
        data = fields.get(_DATA, {})
        values, encoding = data.get(_COUNT, 0), data.get(_ENCODING, -1)
        if min(packed, unpacked, values) < 0:
            raise ValueError("a page has less than nothing")
        if not values and begin > first:
            raise ValueError("a page has no values, and is not its column's first one")
        yield Page(kind, max(unpacked, packed), values, encoding)
        begin += head.at + packed
