"""The erasures of pruned files: a device that was erased in one stays erased."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import structlog

from devicesync.archive.archive import Archive
from devicesync.archive.ranges import Pruned
from devicesync.clock import SYSTEM
from devicesync.few import few_at_once
from devicesync.jobs.erase import erase_line
from devicesync.jobs.restore.selection import Selection
from devicesync.law.event import check_id
from devicesync.law.refusal import Refused
from devicesync.law.state import State
from devicesync.law.version import guard
from devicesync.log.full import FullRecord

_PIECE = 10_000
_log: Any = structlog.get_logger("devicesync")


def pruned_erasures(archive: Archive, selection: Selection, max_clock_ahead_ms: int) -> Iterator[dict[str, State]]:
    """Yield the erases of all pruned ranges, some thousand at a time. A device may come again. Raises Unavailable, Damaged."""
    for kept in archive.manifest.pruned():
        for some in _erased_in(kept, selection, max_clock_ahead_ms):
            yield {device_id: State(erased=at) for device_id, at in some}


def erasure_rows(kept: Pruned, selection: Selection, max_clock_ahead_ms: int) -> Iterator[list[FullRecord]]:
    """Yield the erases of one pruned range as records of a log, some thousand at a time.

    Their time is now, and none is of later than its time, so an updater takes each.
    """
    for some in _erased_in(kept, selection, max_clock_ahead_ms):
        time_ms = max([SYSTEM.now_ms(), *(-(-at // 1000) for _, at in some)])
        yield [(0, time_ms, device_id.encode(), erase_line(device_id, at), None) for device_id, at in some]


def _erased_in(kept: Pruned, selection: Selection, max_clock_ahead_ms: int) -> Iterator[list[tuple[str, int]]]:
    left_out, now_ms = 0, SYSTEM.now_ms() + max_clock_ahead_ms  # this clock may be behind by so much
    for piece in few_at_once(kept.erased(), _PIECE):
        believed = _believed(piece, now_ms, max_clock_ahead_ms)
        left_out += len(piece) - len(believed)
        yield [each for each in believed if selection.device_id in (None, each[0])]
    if left_out:
        _log.error("erasures with an impossible id or version are left out", path=kept.entries[0].path, erasures=left_out)


def _believed(erased: list[tuple[str, int]], now_ms: int, max_clock_ahead_ms: int) -> list[tuple[str, int]]:
    """An erase has an id that an event may have, and a version that does not lie in the future, where it would win for years."""
    believed = []
    for device_id, version in erased:
        with suppress(Refused):
            check_id(device_id)
            guard(version, taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
            believed.append((device_id, version))
    return believed
