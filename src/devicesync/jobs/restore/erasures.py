"""The erasures of pruned files: a device that was erased in one stays erased."""

from collections.abc import Iterator

from devicesync.archive.ranges import Pruned
from devicesync.clock import SYSTEM
from devicesync.jobs.erase import erase_line
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.pruned import believed
from devicesync.log.full import FullRecord


def erasure_rows(kept: Pruned, selection: Selection, max_clock_ahead_ms: int) -> Iterator[list[FullRecord]]:
    """Yield the erases of one pruned range as records of a log, some thousand at a time.

    Their time is now, and none is of later than its time, so an updater takes each.
    """
    for some in believed(kept, max_clock_ahead_ms, selection.device_id):
        time_ms = max([SYSTEM.now_ms(), *(-(-at // 1000) for _, at in some)])
        yield [(0, time_ms, device_id.encode(), erase_line(device_id, at), None) for device_id, at in some]
