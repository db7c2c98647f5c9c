"""The erasures of pruned files: a device that was erased in one stays erased."""

from contextlib import suppress
from typing import Any

import structlog

from devicesync.archive.archive import Archive
from devicesync.archive.ranges import Erasures
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import kept_at_ms
from devicesync.law.event import check_id
from devicesync.law.refusal import Refused
from devicesync.law.state import State
from devicesync.law.version import guard

_log: Any = structlog.get_logger("devicesync")


def pruned_erasures(archive: Archive, selection: Selection, max_clock_ahead_ms: int) -> dict[str, State]:
    """Return the highest erase of each device. Raises Unavailable, Damaged."""
    erased: dict[str, int] = {}
    for kept in archive.manifest.pruned():
        believed = _believed(kept, max_clock_ahead_ms)
        if len(believed) < len(kept.erased):
            left_out = len(kept.erased) - len(believed)
            _log.error("erasures with an impossible id or version are left out", path=kept.entries[0].path, erasures=left_out)
        for device_id, version in believed.items():
            if selection.device_id in (None, device_id):
                erased[device_id] = max(version, erased.get(device_id, 0))
    return {device_id: State(erased=version) for device_id, version in erased.items()}


def _believed(kept: Erasures, max_clock_ahead_ms: int) -> dict[str, int]:
    """An erase has an id that an event may have, and a version that does not lie in the future, where it would win for years."""
    believed = {}
    for device_id, version in kept.erased.items():
        with suppress(Refused):
            check_id(device_id)
            guard(version, taken_ms=kept_at_ms(kept.entries[0]), max_clock_ahead_ms=max_clock_ahead_ms)
            believed[device_id] = version
    return believed
