"""The timestamps of writes.

Cassandra keeps the cell with the greatest timestamp. So a facet is written USING TIMESTAMP its version, and writes converge on
the newest, whatever their order. first_access and user_declared_on are minima. Their timestamp is made from the value itself,
so that the smaller value has the greater timestamp:

    never erased     2^54 - 1024 × (value + 1), and one more     the smaller the value (ms), the greater the stamp
    erased at N      2^54 + 1024 × N, no value                   beats every minimum of before, and every earlier erase
    live again       the same, and one more, N // 1000           beats the erase itself

No reading, no coordination: replays, zombies and keyless topics end with the same cell. (Stamps issued by the cache's
merge would be lost with the cache while a delayed write is on its way.)

Each step of 1024 has room to hide user_declared_on while a tie leaves nothing declared, and to show it again: the n-th such
tie hides it at 2n above the step, what is declared later shows it at 2n + 1. The ledger remembers these ties, for a deletion's
timestamp can't be read. The last of MOST_TIES ties hides it for good: then only an erase of the device makes room.

Another job may write at any timestamp: one that takes nanoseconds for µs writes at 1.8 × 10^18. The law knows no such version,
and Redis no such number. So `moment_of` and the like stand between what is read and what is made of it.
"""

from devicesync.law.version import LATEST_US

_MINIMUM, _STEP = 2**54, 2**10
LAST_SLOT = _STEP - 1
MOST_TIES = _STEP // 2
"""The ledger keeps so many of a device. Each producer can make more of them, and they are read with the device."""
OURS = LATEST_US + 1
"""Every stamp of ours lies above it, and every clock below."""

LONGEST_AGO = 1000
"""In µs, the version of what was written at an unknown time, or before 1970."""


def stamp_of(value_ms: int, erased: int, slot: int) -> int:
    """The timestamp of a minimum in ms, of a device erased at `erased` µs (0: never); slot: its place within the step of 1024."""
    step = _MINIMUM + _STEP * erased if erased else _MINIMUM - _STEP * (value_ms + 1)
    return step + min(slot, LAST_SLOT)


def moment_of(written_at: int | None) -> int | None:
    """The version that a cell counts as which was written at this timestamp; None where there is no cell."""
    return None if written_at is None else min(max(written_at, LONGEST_AGO), LATEST_US)


def erase_at(version: int | None) -> int:
    """What an erase's version in the ledger counts as; 0 for none."""
    return min(max(version or 0, 0), LATEST_US)


def minimum_of(value_ms: int | None) -> int:
    """What a minimum in ms counts as, whoever wrote it; 0 for none."""
    return min(max(value_ms or 0, 0), LATEST_US // 1000)
