"""Devices in groups so small that all that is held of them fits into memory, however large their maps are."""

from collections.abc import Iterable, Iterator
from itertools import islice

FEW = 50
"""The states of so many take 53 MB at most, and so fit into a cache in memory. Those of one take 1.1 MB, with emojis."""

MUCH_BYTES = 16 << 20
"""Where the maps of what is held take as much, no more is read."""


def few_at_once(device_ids: Iterable[str], count: int = FEW) -> Iterator[list[str]]:
    """Yield the devices in groups of `count`; the last one may have fewer."""
    rest = iter(device_ids)
    while group := list(islice(rest, count)):
        yield group
