"""Thrift's compact protocol, in which a Parquet file's footer and the heads of its pages are written.

Reading is strict: fields ascend, as every writer writes them. Else two readers could take one of two fields of one number.
"""

from collections.abc import Iterator, Mapping
from typing import Any

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
_TRUE, _FALSE, _BYTE, _DOUBLE = 1, 2, 3, 7
_I16 = 4
_LARGEST = {_I16: (1 << 15) - 1, I32: (1 << 31) - 1, I64: (1 << 63) - 1}
_LARGEST_FIELD, _VARINT_BITS, _LONG_LIST, _MOST_DEPTH = _LARGEST[_I16], 70, 15, 8
_MOST_VALUES = 100
"""Of a list. We write 11 at most, but for the list of row groups."""
_SHORT = 128
"""A byte of a number that is less than this is its last."""


class Reader:
    """Reads what these bytes hold; `at` is where the next value begins. Raises ValueError for what is none."""

    def __init__(self, held: bytes, name: str) -> None:
        """name: what they are, for messages."""
        self._held = held
        self._name = name
        self.at = 0

    def struct(self, types: Mapping[int, Any]) -> dict[int, Any]:
        """The fields that have these numbers; what else is in the struct is passed over.

        types: what each field must be: I32, I64 or BINARY, or the types of the struct that it is, or a list of these alone.
        """
        found: dict[int, Any] = {}
        for number, kind in self.fields():
            wanted = types.get(number)
            if wanted is None:
                self.pass_over(kind)
            elif kind != _kind_of(wanted):
                raise ValueError(f"{self._name} has a field of another type than it may have")
            elif kind == STRUCT:
                found[number] = self.struct(wanted)
            elif kind == LIST:
                found[number] = list(self.structs(wanted[0]))
            else:
                found[number] = self._bytes() if kind == BINARY else self._number(kind)
        return found

    def structs(self, types: Mapping[int, Any], most: int = _MOST_VALUES) -> Iterator[dict[int, Any]]:
        """Yield what `struct` returns for each struct of a list that has this many at most."""
        count, kind = self._list(most)
        if kind != STRUCT:
            raise ValueError(f"{self._name} has a list of another type than it may have")
        for _ in range(count):
            yield self.struct(types)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the type of each field of a struct. The caller reads its value, before the next."""
        number = 0
        while head := self._byte():
            before, step = number, head >> 4
            number = before + step if step else self._number(_I16)
            if not before < number <= _LARGEST_FIELD:
                raise ValueError(f"{self._name} has a field twice, or has its fields in another order")
            yield number, head & 15

    def pass_over(self, kind: int, depth: int = 0) -> None:
        """Go behind a value of this type."""
        if kind in _LARGEST:
            self._varint()
        elif kind == BINARY:
            self._bytes()
        elif kind == STRUCT and depth < _MOST_DEPTH:
            for _, inner in self.fields():
                self.pass_over(inner, depth + 1)
        elif kind == LIST and depth < _MOST_DEPTH:
            count, inner = self._list(_MOST_VALUES)
            for _ in range(count):
                self.pass_over(_BYTE if inner in {_TRUE, _FALSE} else inner, depth + 1)
        elif kind in {_BYTE, _DOUBLE}:
            self.at += 1 if kind == _BYTE else 8
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError(f"{self._name} has fields that no Parquet file has")

    def _list(self, most: int) -> tuple[int, int]:
        head = self._byte()
        count = head >> 4 if head >> 4 < _LONG_LIST else self._varint()
        if count > most:
            raise ValueError(f"{self._name} has a list of {count:,} values, more than a backup writes")
        return count, head & 15

    def _bytes(self) -> bytes:
        length = self._varint()
        self.at += length
        return self._held[self.at - length : self.at]

    def _number(self, kind: int) -> int:
        value = self._varint()
        value = (value >> 1) ^ -(value & 1)
        if abs(value) > _LARGEST[kind]:
            raise ValueError(f"{self._name} has a number that is too large")
        return value

    def _varint(self) -> int:
        byte = self._byte()
        value, shift = byte & 127, 7
        while byte >= _SHORT:
            if shift == _VARINT_BITS:
                raise ValueError(f"{self._name} has a number that is too long")
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
        return value

    def _byte(self) -> int:
        try:
            byte = self._held[self.at]
        except IndexError:
            raise ValueError(f"{self._name} has no end") from None
        self.at += 1
        return byte


def written_number(value: int) -> bytes:
    """A number of 0 or more, as a field's value."""
    return _varint(value << 1)


def written_list(kind: int, *values: bytes) -> bytes:
    """A list of values of one type."""
    return bytes([_LONG_LIST << 4 | kind]) + _varint(len(values)) + b"".join(values)


def written_struct(*fields: tuple[int, int, bytes]) -> bytes:
    """A struct of fields in ascending order: the number, the type and the value of each."""
    written, before = b"", 0
    for number, kind, value in fields:
        written += bytes([number - before << 4 | kind]) + value
        before = number
    return written + b"\0"


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | _SHORT]) + _varint(rest) if rest else bytes([low])


def _kind_of(wanted: Any) -> int:
    return wanted if isinstance(wanted, int) else STRUCT if isinstance(wanted, dict) else LIST
