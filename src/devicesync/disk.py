"""The room that is left on a disk."""

import os
from pathlib import Path

from devicesync.errors import Unavailable

_LEAST_BYTES = 1 << 20


def check_room(directory: Path) -> None:
    """Raise Unavailable where less than 1 MiB is left on the directory's disk, or where it can't be seen."""
    try:
        found = os.statvfs(directory)
    except OSError as error:
        raise Unavailable(f"can't use {directory}: {error.strerror}", "check the path and its permissions") from error
    if found.f_bavail * found.f_frsize < _LEAST_BYTES:
        raise Unavailable(f"the disk under {directory} is full", "free some space; work goes on when there is room")
