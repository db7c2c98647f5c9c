"""The erasures of pruned ranges, as far as they are believed: whoever writes to a bucket may have written them."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import structlog

from devicesync.archive.archive import Archive
from devicesync.archive.ranges import Pruned
from devicesync.clock import SYSTEM
from devicesync.few import few_at_once
from devicesync.law.event import check_id
from devicesync.law.refusal import Refused
from devicesync.law.state import State
from devicesync.law.version import guard

_PIECE = 10_000
_log: Any = structlog.get_logger("devicesync")


def pruned_erasures(archive: Archive, max_clock_ahead_ms: int, device_id: str | None = None) -> Iterator[dict[str, State]]:
    """Yield the erases of all pruned ranges, some thousand at a time. A device may come again. Raises Unavailable, Damaged.

    device_id: the only device of which erases are wanted.
    """
    for kept in archive.manifest.pruned():
        for some in believed(kept, max_clock_ahead_ms, device_id):
            yield {name: State(erased=at) for name, at in some}


def believed(kept: Pruned, max_clock_ahead_ms: int, device_id: str | None = None) -> Iterator[list[tuple[str, int]]]:
    """Yield the devices and versions of a pruned range's erases, some thousand at a time. Log how many are not believed.

    device_id: as above. Raises Damaged.
    """
    left_out, now_ms = 0, SYSTEM.now_ms() + max_clock_ahead_ms  # this clock may be behind by so much
    for piece in few_at_once(kept.erased(), _PIECE):
        some = _valid(piece, now_ms, max_clock_ahead_ms)
        left_out += len(piece) - len(some)
        yield [each for each in some if device_id in (None, each[0])]
    if left_out:
        _log.error("erasures with an impossible id or version are left out", path=kept.path, erasures=left_out)


def _valid(erased: list[tuple[str, int]], now_ms: int, max_clock_ahead_ms: int) -> list[tuple[str, int]]:
    """An erase has an id that an event may have, and a version that does not lie in the future, where it would win for years."""
    valid = []
    for device_id, version in erased:
        with suppress(Refused):
            check_id(device_id)
            guard(version, taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
            valid.append((device_id, version))
    return valid
