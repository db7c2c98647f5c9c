"""A Parquet file's footer as a tree that a test can change, written without the code that it tests.

A struct is a list of fields, each a list of its number, its type and its value. A list is its values' type, and they.
"""

from collections.abc import Iterator
from typing import Any

BINARY, LIST, STRUCT, I32, I64 = 8, 9, 12, 5, 6
Struct = list[list[Any]]
_BOOLS, _BYTE, _NUMBERS, _LONG_LIST = {1, 2}, 3, {4, I32, I64}, 15


def parted(file: bytes) -> tuple[bytes, Struct]:
    """What is before the footer, and the footer."""
    end = len(file) - 8
    begin = end - int.from_bytes(file[end : end + 4], "little")
    return file[:begin], _struct(iter(file[begin:end]))


def joined(body: bytes, footer: Struct) -> bytes:
    """A file of these."""
    written = _written(STRUCT, footer)
    return body + written + len(written).to_bytes(4, "little") + b"PAR1"


def field(tree: Any, *path: int) -> list[Any]:
    """A field, by the numbers of those around it, and in a list by the place there."""
    *before, last = path
    for step in before:
        tree = tree[1][step] if isinstance(tree, tuple) else field(tree, step)[2]
    return next(each for each in tree if each[0] == last)


def _struct(held: Iterator[int]) -> Struct:
    fields: Struct = []
    number = 0
    while head := next(held):
        number += head >> 4
        fields.append([number, head & 15, _value(head & 15, held)])
    return fields


def _value(kind: int, held: Iterator[int]) -> Any:
    if kind in _BOOLS:
        return None
    if kind == _BYTE:
        return next(held)
    if kind in _NUMBERS:
        value = _varint(held)
        return (value >> 1) ^ -(value & 1)
    if kind == BINARY:
        return bytes(next(held) for _ in range(_varint(held)))
    if kind == LIST:
        head = next(held)
        return head & 15, [_value(head & 15, held) for _ in range(head >> 4 if head >> 4 < _LONG_LIST else _varint(held))]
    return _struct(held)


def _varint(held: Iterator[int]) -> int:
    byte = next(held)
    return byte if byte < 128 else (byte & 127) | _varint(held) << 7


def _written(kind: int, value: Any) -> bytes:
    if kind in _BOOLS:
        return b""
    if kind == _BYTE:
        return bytes([value])
    if kind in _NUMBERS:
        return _written_varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == BINARY:
        return _written_varint(len(value)) + bytes(value)
    if kind == LIST:
        inner, values = value
        return (
            bytes([_LONG_LIST << 4 | inner]) + _written_varint(len(values)) + b"".join(_written(inner, each) for each in values)
        )
    written, before = b"", 0
    for number, inner, held in value:
        written += bytes([(number - before) << 4 | inner]) + _written(inner, held)
        before = number
    return written + b"\0"


def _written_varint(value: int) -> bytes:
    return bytes([value & 127 | 128]) + _written_varint(value >> 7) if value > 127 else bytes([value])
