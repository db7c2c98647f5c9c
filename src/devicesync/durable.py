"""Files that are there whole or not at all, names that a loss of power does not undo, and the room for them."""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from devicesync.errors import Unavailable

_OURS_ALONE = 0o600
_LEAST_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
"""What a file system says that has no hard links."""
_ON_ITS_WAY = re.compile(r"\.(.+)\.[0-9]+", re.DOTALL)
_FREE = "free some space; work goes on when there is room"
_CHECK = "check the path and its permissions"


def replace(path: Path, content: bytes, *, durable: bool) -> None:
    """Make the file, or put it over the one that is there. See `replacing`."""
    with replacing(path, durable=durable) as beside:
        beside.write_bytes(content)


def create(path: Path, content: bytes) -> bool:
    """Make the file durably, unless one is there: that stays. Of several who make it at once, one does.

    Return whether the file system can do that, by a hard link. If not, nothing is made. Raises OSError.
    """
    beside = _beside(path)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OURS_ALONE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    except FileNotFoundError:  # another removed what was left; one that made the file does so, too
        if not path.exists():
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    finally:
        beside.unlink(missing_ok=True)
    _remove_left(path)
    sync_directory(path.parent)
    return True


def content_of(path: Path, most_bytes: int) -> bytes:
    """The bytes of a file. Raises OSError, also where it is no regular file, or has more."""
    content = beginning_of(path, most_bytes + 1)
    if len(content) > most_bytes:
        raise too_large(path, most_bytes)
    return content


def too_large(path: Path, most_bytes: int) -> OSError:
    """The error of a file that has more bytes than are read."""
    return OSError(errno.EFBIG, f"it has more than {most_bytes:,} bytes", str(path))


@contextmanager
def closing_on_error(file: int) -> Iterator[None]:
    """Close the open file where the body fails."""
    try:
        yield
    except BaseException:
        os.close(file)
        raise


def open_regular(path: Path, flags: int) -> int:
    """Open the file. Raises OSError, also where it is no regular file: one would wait for a pipe's writers for ever."""
    file = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, _OURS_ALONE)
    with closing_on_error(file):
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def opened(path: Path) -> BufferedReader:
    """The file, to read it. Raises what `open_regular` raises."""
    return os.fdopen(open_regular(path, os.O_RDONLY), "rb")


@contextmanager
def begun_anew(path: Path) -> Iterator[BinaryIO]:
    """An empty file, to write it, in the place of whatever is there: a pipe would wait for its readers.

    At the end it is on the disk, with its name. Raises OSError.
    """
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def open_ours(path: Path, flags: int) -> int:
    """Open a file that is written in place. Raises OSError, also where writing it would change somebody's other file."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link", str(path))
    file = open_regular(path, flags | os.O_NOFOLLOW)
    with closing_on_error(file):
        if os.fstat(file).st_nlink > 1:
            raise OSError(errno.EMLINK, "the file has another name too, by a hard link", str(path))
    return file


def beginning_of(path: Path, bytes_: int) -> bytes:
    """The first bytes of a file. Raises OSError, also where it is no regular file: what a pipe has may never come."""
    pieces, left = [], bytes_
    with opened(path) as file:
        there = os.fstat(file.fileno()).st_size  # in one piece: to join pieces takes the memory twice
        while piece := file.read(min(left, max(there, _PIECE_BYTES))):
            pieces.append(piece)
            left -= len(piece)
            there = 0
    return b"".join(pieces)


@contextmanager
def replacing(path: Path, *, durable: bool) -> Iterator[Path]:
    """A name in the same directory to write to, for this user alone. At the end it becomes `path`.

    Whoever reads `path` gets the old file or the new one whole, also when a writer is killed.
    durable: the new file is on the disk at the end, and so is its name. If not, a loss of power may bring back the old file, or
        leave an empty one.

    Raises OSError. Then the old file is still there.
    """
    _remove_left(path)
    beside = _beside(path)
    # A link that another user of the directory has just placed there must not lead us to a file of ours.
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OURS_ALONE))
    try:
        yield beside
        if durable:
            _sync(beside)
        beside.rename(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def name_of(beside: str) -> str:
    """The name that the file at a hidden name of `replacing` or `create` was to have; "" for any other name."""
    found = _ON_ITS_WAY.fullmatch(beside)
    return found[1] if found else ""


def sync_directory(directory: Path) -> None:
    """Make the names in it durable: what was made, renamed or removed. Raises OSError."""
    _sync(directory)


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Keep other processes that make files there waiting. SQLite fails where two begin a file at once. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_room(directory: Path) -> None:
    """Raise Unavailable where less than 1 MiB is left on the directory's disk, or where that can't be read."""
    try:
        full = _is_full(directory)
    except OSError as error:
        raise Unavailable(f"can't use {directory}: {error.strerror}", _CHECK) from error
    if full:
        raise Unavailable(f"the disk under {directory} is full", _FREE)


def hint_for(path: Path, *, full: bool) -> str:
    """What to do about a file that can't be written. full: whether the error says that the disk is; some errors don't say."""
    with suppress(OSError):
        full = full or _is_full(path.parent)
    return _FREE if full else _CHECK


def room_in(directory: Path) -> int:
    """How many bytes are left on its disk. Raises OSError."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def _is_full(directory: Path) -> bool:
    return room_in(directory) < _LEAST_BYTES


def _beside(path: Path) -> Path:
    """A name for a file on its way. Containers that share a directory may share process ids, too."""
    return path.with_name(f".{path.name}.{secrets.randbits(63)}")


def _remove_left(path: Path) -> None:
    """Remove what killed writers left. One that is still alive fails to rename it, and writes it again."""
    for left in path.parent.iterdir():
        if name_of(left.name) == path.name:
            left.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_all(file: int, data: bytes) -> None:
    """Write all of it, in as many calls as that takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
