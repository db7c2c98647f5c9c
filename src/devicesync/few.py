"""Devices in groups so small that all that is held of them fits into memory, however large their texts are."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

FEW = 30
"""The states of so many take 140 MB at most: 13 texts of 64 KiB and two maps of 133 KB, four bytes a character with an emoji."""

MUCH_BYTES = 16 << 20
"""Where the texts of what is held take as much, no more is read."""


def few_at_once(items: Iterable[T], count: int = FEW) -> Iterator[list[T]]:
    """Yield the items, devices mostly, in groups of `count`; the last one may have fewer."""
    rest = iter(items)
    while group := list(islice(rest, count)):
        yield group
