"""Versions: whole µs since the epoch. The API assigns one to each event; older writers' events get a derived one."""

import zlib

from devicesync.law.refusal import Refused

OLDEST_US = 1_262_304_000_000_000
"""2010-01-01T00:00:00Z. A version before it would silently vanish under whatever is stored: seconds passed as ms, or ms as µs."""

LATEST_US = 2**52 - 1
"""In the year 2112. No clock gives a later one. Another program's number beyond it counts as this one where a store is read."""

DEFAULT_MAX_CLOCK_AHEAD_MS = 300_000
"""How far past the log's own clock a version may lie; further would silently win for years."""

_LONGEST_SHOWN = 20


def derived(at_ms: int, canonical_event: bytes) -> int:
    """The version of an event that brings none: its ms, and in the µs a stable hash of its canonical form.

    So two different events of one ms have an order, and every reader agrees on it. The hash is CRC-32 modulo 1000.
    """
    return at_ms * 1000 + zlib.crc32(canonical_event) % 1000


def guard(version: int, *, taken_ms: int, max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS) -> None:
    """Raise Refused for a version (µs) that lies before OLDEST_US, or too far past `taken_ms`, when the log took the record."""
    if version < OLDEST_US:
        raise Refused("version_too_old", f"version {_short(version)} µs lies before 2010-01-01")
    if version > (taken_ms + max_clock_ahead_ms) * 1000:
        raise Refused(
            "version_in_future",
            f"version {_short(version)} µs lies more than {max_clock_ahead_ms} ms past {taken_ms} ms, when the log took it",
        )


def next_version(last: int, now_us: int) -> int:
    """The version for a new event of a writer whose last one was `last`: it only grows, whatever the clock does."""
    return max(last + 1, now_us)


def _short(version: int) -> str:
    digits = str(version)
    return digits if len(digits) <= _LONGEST_SHOWN else f"of {len(digits)} digits"
