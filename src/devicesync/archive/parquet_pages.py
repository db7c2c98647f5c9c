"""What the pages of a Parquet file say of themselves, in front of each (Thrift's compact protocol).

Readers make as much room for a page as it says, and unpack it as it says. The file's footer may say something else.
A field that comes twice, or has another type or number than it may have, is refused: Arrow may take it for something else.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

DATA_PAGE = 0
PLAIN = 0
_MOST_HEAD_BYTES = 4096
_TYPE, _UNPACKED, _PACKED, _DATA, _COUNT, _ENCODING = 1, 2, 3, 5, 1, 2
"""The numbers of fields: of a page's head, and of the part for a page of data."""
_TRUE, _FALSE, _BYTE, _I32, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 5, 7, 8, 12
_HEAD_TYPES = {_TYPE: _I32, _UNPACKED: _I32, _PACKED: _I32, _DATA: _STRUCT}
_DATA_TYPES = {_COUNT: _I32, _ENCODING: _I32}
_LARGEST_I32, _LARGEST_FIELD, _VARINT_BITS = (1 << 31) - 1, (1 << 15) - 1, 70


class Page(NamedTuple):
    """bytes: what it takes unpacked. values: how many are in it, of a page of data."""

    kind: int
    bytes: int
    values: int
    encoding: int


def pages_of(path: Path, group: Any) -> Iterator[tuple[int, Page]]:
    """Yield every page of a row group, with its column's number. Raises OSError, ValueError for a head that can't be read."""
    with path.open("rb") as file:
        for number in range(group.num_columns):
            column = group.column(number)
            begin, dictionary = column.data_page_offset, column.dictionary_page_offset
            if dictionary is not None and 0 < dictionary < begin:  # as Arrow finds it
                begin = dictionary
            if begin <= 0 or column.total_compressed_size <= 0:
                raise ValueError("a column is nowhere")
            for page in _pages_between(file, begin, begin + column.total_compressed_size):
                yield number, page


def _pages_between(file: BinaryIO, begin: int, end: int) -> Iterator[Page]:
    while begin < end:
        file.seek(begin)
        head = _Head(file.read(_MOST_HEAD_BYTES))
        fields = head.struct(_HEAD_TYPES, {_DATA: _DATA_TYPES})
        kind, unpacked, packed = (fields.get(number, 0) for number in (_TYPE, _UNPACKED, _PACKED))
        data = fields.get(_DATA, {})
        values, encoding = data.get(_COUNT, 0), data.get(_ENCODING, -1)
        if min(packed, unpacked, values) < 0:
            raise ValueError("a page has less than nothing")
        yield Page(kind, max(unpacked, packed), values, encoding)
        begin += head.at + packed


class _Head:
    """Reads one head; `at` is where it ends. Raises ValueError."""

    def __init__(self, held: bytes) -> None:
        self._held = held
        self.at = 0

    def struct(self, types: Mapping[int, int], parts: Mapping[int, Mapping[int, int]], depth: int = 0) -> dict[int, Any]:
        """The numbers and structures in it, by their fields' numbers; what else is there is passed over.

        types: those that fields must have. parts: the same of the fields in its structures.
        """
        if depth > 4:  # noqa: PLR2004 - a page's head has two levels
            raise ValueError("a page's head is too deep")
        fields: dict[int, Any] = {}
        number = 0
        while kind := (head := self._byte()) & 15:
            number = number + (head >> 4) if head >> 4 else self._number()
            if number in fields or not 0 < number <= _LARGEST_FIELD or types.get(number, kind) != kind:
                raise ValueError("a page's head has a field twice, or one of another type than pages have")
            is_struct = kind == _STRUCT
            fields[number] = self.struct(parts.get(number, {}), {}, depth + 1) if is_struct else self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in {_TRUE, _FALSE}:
            return kind == _TRUE
        if kind == _BYTE:
            return self._byte()
        if kind < _DOUBLE:
            value = self._number()
            if kind == _I32 and abs(value) > _LARGEST_I32:
                raise ValueError("a page's head has a number that is too large")
            return value
        if kind not in {_DOUBLE, _BINARY}:
            raise ValueError("a page's head has fields that no page has")
        passed = 8 if kind == _DOUBLE else self._varint()
        self.at += passed
        return None

    def _number(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value = 0
        for shift in range(0, _VARINT_BITS, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004 - the highest bit says that more follows
                return value
        raise ValueError("a page's head has a number that is too long")

    def _byte(self) -> int:
        if self.at >= len(self._held):
            raise ValueError("a page's head has no end")
        self.at += 1
        return self._held[self.at - 1]
