"""The journal's files, and what their names mean.

    device-profile.log                          the active segment: JSON lines and nothing else
    device-profile.log.times                    when its lines were taken (times.py)
    device-profile.log.00000000000000004711     a closed segment; the number is that of its first record
    device-profile.log.00000000000000004711.times
    device-profile.log.reader.NAME              a reader's position: the number of the next record to read, and the identity
                                                of the store that has those before it. Such a store may hold a position
                                                of its own: the lesser of both counts (reader.py). A backup names the
                                                archive's last range instead (full.Claim.listing)
    device-profile.log.lock                     locked while someone appends; the number after the last durable record
    .device-profile.log.id                      the journal's identity: a new journal at the same place has another

Records are numbered from 0 for the journal's whole life; a record is a line.
"""

import errno
import os
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from devicesync.clock import SYSTEM
from devicesync.durable import beginning_of, hint_for, open_regular, opened, replace
from devicesync.errors import Unavailable
from devicesync.log.journal.times import Span, TimeEntry, last_two, span_of

_DIGITS = 20
_POSITION_BYTES = 256
_LAST_RECORD = 1 << 60
_NUMBER = re.compile(rf"[0-9]{{{_DIGITS}}}")
_READ_BYTES = 1 << 20
NOT_WAITED_FOR = {"audit"}
"""Readers that may miss records: else one that nobody runs any more would keep the journal growing."""


class JournalFiles:
    """Names and finds the files of the journal at `path`; where that is a link, of the one that it leads to.

    Else a rotation would move the link, and a retention remove it, and the file behind it would stay.
    """

    def __init__(self, path: Path) -> None:
        path = Path(os.path.realpath(path)) if path.is_symlink() else path
        self.active = path
        self.times = path.with_name(path.name + ".times")
        self.lock = path.with_name(path.name + ".lock")
        self.identity = path.with_name(f".{path.name}.id")

    def closed(self, first: int) -> Path:
        """The closed segment that begins with record `first`."""
        return self.active.with_name(f"{self.active.name}.{first:0{_DIGITS}d}")

    def closed_firsts(self) -> list[int]:
        """The first records of the closed segments, ascending."""
        prefix = self.active.name + "."
        names = (name.removeprefix(prefix) for name in self._names() if name.startswith(prefix))
        return sorted(first for name in names if _NUMBER.fullmatch(name) and (first := int(name)) <= _LAST_RECORD)

    def position(self, reader: str) -> Path:
        """Where the reader of that name keeps its position."""
        return self.active.with_name(f"{self.active.name}.reader.{reader}")

    def exist(self) -> bool:
        """Whether the journal has been made. In a rotation, or where that was cut short, it has no active segment."""
        return self.active.exists() or bool(self.closed_firsts())

    def positions(self) -> dict[str, int]:
        """The position of every reader that has one."""
        prefix = f"{self.active.name}.reader."
        readers = [name.removeprefix(prefix) for name in self._names() if name.startswith(prefix)]
        return {reader: self.read_position(reader) or 0 for reader in readers}

    def least_position(self) -> int | None:
        """The position of the last of those readers for whom the journal keeps what they lack; None where there are none."""
        return min((position for reader, position in self.positions().items() if reader not in NOT_WAITED_FOR), default=None)

    def read_position(self, reader: str) -> int | None:
        """The reader's position, or None when it has none; one that can't be counts as none: reading again is harmless.

        Raises Unavailable.
        """
        try:
            position = int(self._read(self.position(reader))[: _DIGITS + 1])
        except ValueError:
            return None
        return position if 0 <= position <= _LAST_RECORD else None

    def read_store(self, reader: str) -> str:
        """The identity of the store that the reader's position is about, "" when it names none. Raises Unavailable."""
        first_line = self._read(self.position(reader)).partition(b"\n")[0]  # behind it a longer one may have left its end
        return first_line[_DIGITS + 1 :].decode("ascii", "replace").strip()

    def rotating(self) -> Span | None:
        """The times of a segment that was moved, which they have not followed yet; None where no rotation is under way.

        A file that stands in its place meanwhile is another program's, and its lines have no numbers yet.
        """
        if (span := span_of(self.times)) and (segment := self.closed(span.beginning.first)).exists():
            return None if times_of(segment).exists() else span
        return None

    def end_of_closed(self) -> int:
        """The number after the last record of the closed segments, 0 without one."""
        firsts = self.closed_firsts()
        return self.end_of(firsts[-1]) if firsts else 0

    def end_of(self, first: int) -> int:
        """The number after the last record of the closed segment that begins with record `first`."""
        segment = self.closed(first)
        rotating = self.rotating()
        times = self.times if rotating and rotating.beginning.first == first else times_of(segment)
        if (noted := _noted_at(segment, times)) is not None:
            return noted
        span = span_of(times)
        sound = span is not None and span.beginning.first == first and span.last.start <= segment.stat().st_size
        last = span.last if span and sound and not span.last.is_end else TimeEntry(first, 0, 0, 0)
        return last.first + count_lines(segment, last.start)

    def keep_identity(self) -> None:
        """Give the journal an identity where it has none. Raises Unavailable, OSError."""
        if not (self.identity.exists() and self.read_identity()):
            self.give_identity()

    def give_identity(self) -> str:
        """Give the journal a new identity, and return it. It is durable before the file has its name. Raises OSError.

        So one whose numbers begin at 0 is none of those that were here before, for which a backup might take it.
        """
        identity = uuid.uuid4().hex
        replace(self.identity, f"{identity}\n".encode(), durable=True)
        return identity

    def read_identity(self) -> str:
        """The journal's identity. Raises Unavailable."""
        with naming_failures("read", self.identity):
            return beginning_of(self.identity, _POSITION_BYTES).decode("ascii", "replace").strip()

    def identity_now(self) -> str:
        """The journal's identity, "" where it has none yet. Raises Unavailable."""
        with naming_failures("read", self.identity):
            return self.read_identity() if self.identity.exists() else ""

    def _read(self, position: Path) -> bytes:
        with naming_failures("read", position), suppress(FileNotFoundError):
            return beginning_of(position, _POSITION_BYTES)
        return b""

    def _names(self) -> list[str]:
        try:
            return [path.name for path in self.active.parent.iterdir()]
        except FileNotFoundError:
            return []


def times_of(segment: Path) -> Path:
    """The times file beside a segment."""
    return segment.with_name(segment.name + ".times")


def count_lines(path: Path, start: int, end: int = sys.maxsize) -> int:
    """The number of line ends from the byte `start` to `end`; 0 where there is no file."""
    try:
        file = open_regular(path, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        return count_lines_of(file, start, end)
    finally:
        os.close(file)


def count_lines_of(file: int, start: int, end: int = sys.maxsize) -> int:
    """The number of line ends of an open file from the byte `start` to `end`."""
    count, at = 0, start
    while chunk := os.pread(file, min(_READ_BYTES, max(end - at, 0)), at):
        count += chunk.count(b"\n")
        at += len(chunk)
    return count


def noted_end(segment: int, times: int) -> int | None:
    """The number after a closed segment's last record, as its times note it. Both are open files.

    None where they do not, or where that is not the number of the lines between the last two entries: it is damaged then.
    """
    before, end = last_two(times) or (None, None)
    if not (before and end and end.is_end and end.may_follow(before, os.fstat(segment).st_size)):
        return None
    return end.first if before.first + count_lines_of(segment, before.start, end.start) == end.first else None


def _noted_at(segment: Path, times: Path) -> int | None:
    with suppress(FileNotFoundError), opened(segment) as data, opened(times) as entries:
        return noted_end(data.fileno(), entries.fileno())
    return None


def same_file(file: int, path: Path) -> bool:
    """Whether the open file is the one that `path` names now."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(file)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


_LATE_SECONDS = 3600.0
"""So late at most a segment is found to be old, while a process runs."""
_BESIDE_SECONDS = 60.0
"""A times file is written with its segment. One that seems so much older has a note, which counts no more."""


def age_seconds(segment: Path, retention_seconds: float) -> float:
    """How long ago it was written to last. One of later than now counts as written when that was seen first.

    A clock was ahead then, or this one is behind. So the segment keeps its time, for a clock that is right again. When it was
    seen is noted by the time of the times file beside it. Where that is longer ago than `retention_seconds`, another clock did.
    """
    now, written, note = SYSTEM.now_us() / 1e6, segment.stat().st_mtime, times_of(segment)
    if not note.exists():
        return max(now - written, 0.0)
    seen = note.stat().st_mtime
    if now < written:
        if 0 <= now - seen < retention_seconds + _LATE_SECONDS:
            return now - seen
        os.utime(note, (now, now))
        return 0.0
    if seen < written - _BESIDE_SECONDS:
        os.utime(note, (written, written))
    return now - written


@contextmanager
def naming_failures(what: str, path: Path) -> Iterator[None]:
    """Turn the system's refusals into Unavailable, with what was tried, on which file, and what to do.

    path: names the file where the system doesn't.
    """
    try:
        yield
    except OSError as error:
        hint = hint_for(path, full=error.errno in (errno.ENOSPC, errno.EDQUOT))
        raise Unavailable(f"can't {what} {error.filename or path}: {error.strerror or error}", hint) from error
