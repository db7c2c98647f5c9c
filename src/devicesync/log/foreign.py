"""A device-profile.log that another service writes, followed line by line through its rotations.

Knows a file again by its inode and its first bytes, so it survives restarts, logrotate's rename-and-create and its
copytruncate. What was left unread in a rotated file is read first. After a file come those written to later than it, also
where it is gone itself. (Lines that copytruncate itself loses, between its copy and its truncation, are nowhere to be read.
Compressed files are not read: use delaycompress.) Of a line that is far longer than an event may be, the beginning is copied, and
a warning says how long it is.
"""

import hashlib
import os
import re
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Annotated, Any

import msgspec
import structlog

from devicesync.clock import SYSTEM
from devicesync.durable import beginning_of, open_regular, replace
from devicesync.log.journal.files import naming_failures, same_file
from devicesync.log.whole_lines import LONGEST_LINE_BYTES, WholeLines

_HEAD_BYTES, _SPOT_BYTES = 256, 4096
_QUIET_SECONDS = 1.0
_SEARCHED_BYTES = 64 << 20  # of a line without an end, in each call: a stop signal waits for no more
_ROTATED = re.compile(r"[.-]\d[\d.T:_-]*")
_log: Any = structlog.get_logger("devicesync")


class Spot(msgspec.Struct):
    """Where reading goes on: the file's inode and first bytes (as SHA-256), and the byte after the last line taken.

    written_ns: when the file had been written to, at the last look at it. What was rotated and is no later has been read. 0 in a
        spot of an earlier version.
    """

    inode: int = 0
    head_bytes: Annotated[int, msgspec.Meta(ge=0, le=_HEAD_BYTES)] = 0
    head: str = ""
    offset: Annotated[int, msgspec.Meta(ge=0)] = 0
    written_ns: int = 0


_decode_spot = msgspec.json.Decoder(Spot).decode


class ForeignLog:
    """Follows `path`; keeps its place in `spot_path`. For one thread."""

    def __init__(self, path: Path, spot_path: Path) -> None:
        self._path = path
        self._spot_path = spot_path
        self._file = -1
        self._spot = Spot()
        self._lines = WholeLines(self._file, _SEARCHED_BYTES)
        self._last_data = SYSTEM.monotonic()
        self.is_at_end = False
        self._load()

    def read(self) -> list[bytes]:
        """The next whole lines without their line ends, blank ones left out; [] when there are none now.

        A rotated file's last line counts without a line end, once the file has been quiet for a second.
        Raises Unavailable.
        """
        self.is_at_end = False
        with naming_failures("follow", self._path):
            if not self._holds():
                self._find()
            if self._file < 0:
                self.is_at_end = True
                return []
            lines, size = self._lines.read(self._spot.offset)
            if size or self._lines.is_searching:
                self._warn_of(size - 1)
                self._spot.offset += size
                self._last_data = SYSTEM.monotonic()
            elif same_file(self._file, self._path):
                self.is_at_end = True
            elif self._is_quiet():
                lines = self._leave_for_next()
            return [line for raw in lines if (line := raw.removesuffix(b"\r")) and not line.isspace()]

    def commit(self) -> None:
        """Never return again what was read so far. Raises Unavailable."""
        with naming_failures("keep a place in", self._spot_path):
            replace(self._spot_path, msgspec.json.encode(self._spot), durable=False)  # reading lines again is harmless

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _load(self) -> None:
        if not self._spot_path.exists():  # a later start has to know what was written since this one
            with suppress(OSError):  # `read` says so
                self._open(self._path, 0)
            self.commit()
        with suppress(UnicodeError, msgspec.MsgspecError):
            self._spot = _decode_spot(beginning_of(self._spot_path, _SPOT_BYTES))
        self._spot.written_ns = self._spot.written_ns or self._spot_path.stat().st_mtime_ns

    def _holds(self) -> bool:
        """Whether the open file is still the one that the spot is about. An empty one may have been filled and cut since."""
        spot = self._spot
        if self._file < 0 or not spot.head_bytes:
            return False
        there = os.fstat(self._file)
        start = os.pread(self._file, _HEAD_BYTES, 0)
        if there.st_size < spot.offset or _hash(start[: spot.head_bytes]) != spot.head:
            return False
        spot.head_bytes, spot.head, spot.written_ns = len(start), _hash(start), there.st_mtime_ns
        return True

    def _find(self) -> None:
        """Open the file that the spot is about, by whatever name; where it is gone, what was written to after it."""
        spot = self._spot
        if spot.head_bytes:
            for path in sorted(self._family(), key=lambda path: path.stat().st_ino != spot.inode):
                if path.stat().st_size >= spot.offset and _head(path, spot.head_bytes) == spot.head:
                    self._open(path, spot.offset)
                    return
            _log.warning("the file that was followed is gone: what was not read of it is lost", path=str(self._path))
            self.close()
            self._spot = Spot(written_ns=spot.written_ns)
        if self._is_quiet() or _has_begun(self._path):
            self._last_data = SYSTEM.monotonic()
            self._open(self._unread(), 0)

    def _open(self, path: Path, offset: int) -> None:
        """Go on there. Where it is gone, the file that is open stays so: its writer may still be at it."""
        try:
            opened = open_regular(path, os.O_RDONLY | (0 if path == self._path else os.O_NOFOLLOW))
        except FileNotFoundError:
            return
        self.close()
        self._file = opened
        there = os.fstat(opened)
        start = os.pread(opened, _HEAD_BYTES, 0)
        self._spot = Spot(there.st_ino, len(start), _hash(start), offset, there.st_mtime_ns)
        self._lines = WholeLines(opened, _SEARCHED_BYTES)
        self._last_data = SYSTEM.monotonic()

    def _leave_for_next(self) -> list[bytes]:
        """Open the next file, and return what this one's last line is without an end; []: there is none yet, so we stay.

        Nor do we leave for an empty one: ours may still be written to. Where it just was, it comes after itself.
        """
        following = self._unread()
        if same_file(self._file, following) or not _has_begun(following):
            self._last_data = SYSTEM.monotonic()  # look again after a while
            self.is_at_end = True
            return []
        unfinished = self._unfinished_line()
        self._open(following, 0)
        return unfinished

    def _unread(self) -> Path:
        """The file after the one that was read last: the oldest of the rotated ones written to later, else the log itself."""
        rotated = [(path.stat(), path) for path in self._family() if path != self._path]
        written = [(there.st_mtime_ns, path) for there, path in rotated if there.st_size]
        return min((each for each in written if each[0] > self._spot.written_ns), default=(0, self._path))[1]

    def _family(self) -> list[Path]:
        """The log and the files that its rotation made of it. A rotation makes no links: one may name what only we may read."""
        name = self._path.name
        siblings = [path for path in self._path.parent.glob(f"{escape(name)}*") if _ROTATED.fullmatch(path.name[len(name) :])]
        return [path for path in (self._path, *siblings) if path.is_file() and (path == self._path or not path.is_symlink())]

    def _is_quiet(self) -> bool:
        return SYSTEM.monotonic() - self._last_data > _QUIET_SECONDS

    def _unfinished_line(self) -> list[bytes]:
        size = os.fstat(self._file).st_size - self._spot.offset
        self._warn_of(size)
        return [self._lines.beginning(self._spot.offset, size)] if size > 0 else []

    def _warn_of(self, size: int) -> None:
        if size > LONGEST_LINE_BYTES:
            kept = {"bytes": size, "kept_bytes": LONGEST_LINE_BYTES}
            _log.warning("a line is too long to be an event: only its beginning is kept", path=str(self._path), **kept)


def _has_begun(path: Path) -> bool:
    """Whether the file is there, and not empty. Raises OSError where it is no regular file."""
    try:
        return bool(beginning_of(path, 1))
    except FileNotFoundError:
        return False


def _head(path: Path, size: int) -> str:
    return _hash(beginning_of(path, size))


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
