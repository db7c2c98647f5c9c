"""The erasures of pruned ranges, as far as they are believed: whoever writes to a bucket may have written them."""

from collections.abc import Iterator
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

Erase = tuple[str, int]
"""A device, and the version of its erase in µs."""

_PIECE = 10_000
_log: Any = structlog.get_logger("devicesync")


def pruned_erasures(archive: Archive, max_clock_ahead_ms: int, device_id: str | None = None) -> Iterator[dict[str, State]]:
    """Yield the erases of all pruned ranges, some thousand at a time. A device may come again. Raises Unavailable, Damaged.

    device_id: the only device of which erases are wanted.
    """
    for kept in archive.manifest.pruned():
        for some in believed(kept, max_clock_ahead_ms, device_id):
            yield {name: State(erased=at) for name, at in some}


def believed(kept: Pruned, max_clock_ahead_ms: int, device_id: str | None = None) -> Iterator[list[Erase]]:
    """Yield the devices and versions of a pruned range's erases, some thousand at a time. Log how many are not believed.

    device_id: as above. Raises Damaged.
    """
    left_out = 0
    for some, others in judged(kept, max_clock_ahead_ms):
        left_out += len(others)
        yield [each for each in some if device_id in (None, each[0])]
    if left_out:
        _log.error("erasures with an impossible id or version are left out", path=kept.path, erasures=left_out)


def judged(kept: Pruned, max_clock_ahead_ms: int) -> Iterator[tuple[list[Erase], list[Erase]]]:
    """Yield the erases that are believed, and the others, some thousand at a time. Raises Damaged.

    An erase has an id that an event may have, and a version that does not lie in the future, where it would win for years.
    """
    now_ms = SYSTEM.now_ms() + max_clock_ahead_ms  # this clock may be behind by so much
    for piece in few_at_once(kept.erased(), _PIECE):
        valid: list[Erase] = []
        others: list[Erase] = []
        for erase in piece:
            try:
                check_id(erase[0])
                guard(erase[1], taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
                valid.append(erase)
            except Refused:
                others.append(erase)
        yield valid, others
