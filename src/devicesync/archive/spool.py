"""The local files of one process, in a directory of its own. A later process removes it if this one was killed."""

import errno
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from devicesync.durable import hint_for
from devicesync.errors import Unavailable


class Spool:
    """Gives names for local files below `directory`."""

    def __init__(self, directory: Path) -> None:
        """Raises Unavailable."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for other in directory.iterdir():
                _remove_if_dead(other)
            self.path, self._lock = _make_and_lock(directory)
        except OSError as error:
            raise Unavailable(f"can't use {directory}: {error.strerror}", "check its permissions and free space") from error

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def failure_of(spool: Path, error: OSError) -> Unavailable:
    """What is wrong where a local file can't be written. Raises Unavailable where the spool was removed: a start makes one."""
    if not spool.exists():
        raise Unavailable(f"{spool} was removed", "start the command again: what was there comes again") from error
    hint = hint_for(spool, full=error.errno in {errno.ENOSPC, errno.EDQUOT})
    return Unavailable(f"can't write to {spool}: {error.strerror or error}", hint)


def _make_and_lock(directory: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(dir=directory))
        with suppress(FileNotFoundError):  # another process took it for a dead one's, before it was locked
            lock = os.open(path, os.O_RDONLY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path, lock
            os.close(lock)


def _remove_if_dead(directory: Path) -> None:
    try:
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(lock)
