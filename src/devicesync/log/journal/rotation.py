"""Rotation: the active segment is closed, and the next one begins.

It moves first. From then on no program that opens the journal anew can add to it, and its end is noted. Its times follow last.
"""

import errno
import os
from contextlib import ExitStack

from devicesync.clock import SYSTEM
from devicesync.durable import open_regular, opened, replace, sync_directory, write_all
from devicesync.log.journal.files import JournalFiles, count_lines_of, same_file, times_of
from devicesync.log.journal.times import Span, TimeEntry, span_of
from devicesync.log.journal.torn_tails import cut_torn_tails


def set_aside(files: JournalFiles) -> None:
    """Close the active segment, if it has times. Raises OSError."""
    if span := span_of(files.times):
        segment = files.closed(span.beginning.first)
        with opened(files.active) as data:
            _check_it_is_there(files, span, data.fileno())
            if span.last.is_end:
                _take_back_end(files, span, data.fileno())
            for empty in (segment, times_of(segment)):  # else those times would seem to have followed
                empty.unlink(missing_ok=True)
            files.active.rename(segment)
        finish_rotation(files)


def finish_rotation(files: JournalFiles) -> None:
    """The second half of a rotation, also of one that was cut short. Raises OSError."""
    if span := files.rotating():
        segment = files.closed(span.beginning.first)
        with ExitStack() as on_exit:
            data = open_regular(segment, os.O_RDWR)
            on_exit.callback(os.close, data)
            times = open_regular(files.times, os.O_RDWR | os.O_APPEND)
            on_exit.callback(os.close, times)
            if not span.last.is_end:
                sync_directory(segment.parent)  # a noted end is the end, also where the power fails
                _note_end(data, times, span)
            if same_file(times, files.times):  # else another process, with another lock, has finished it meanwhile
                files.times.rename(times_of(segment))


def mend_times(files: JournalFiles) -> None:
    """Make the times of a closed segment anew, of its first record alone, where they are gone and none follow. Raises OSError."""
    follow = files.rotating()
    for first in files.closed_firsts():
        times = times_of(files.closed(first))
        if not (times.exists() or (follow and follow.beginning.first == first)):
            replace(times, TimeEntry(first, 0, 0, 0).pack(), durable=True)


def _check_it_is_there(files: JournalFiles, span: Span, data: int) -> None:
    """Raise OSError where another process has closed it meanwhile: the next segment would be written over it.

    As one with another lock, after the lock's file was removed while this process was frozen.
    """
    now = span_of(files.times)
    if not same_file(data, files.active) or now is None or now.beginning != span.beginning:
        raise OSError(errno.EIO, "another process has closed it meanwhile", str(files.active))


def _take_back_end(files: JournalFiles, span: Span, data: int) -> None:
    """An older release noted it before it moved the segment, and was killed in between. Lines may have come since.

    An entry follows whose own lines never come.
    """
    end = os.fstat(data).st_size
    entry = TimeEntry(span.last.first + count_lines_of(data, span.last.start, end), end, end + 1, SYSTEM.now_us())
    with os.fdopen(open_regular(files.times, os.O_WRONLY | os.O_APPEND), "ab", buffering=0) as times:
        write_all(times.fileno(), entry.pack())


def _note_end(data: int, times: int, span: Span) -> None:
    """Lines that another program, which has the segment open, appends behind that end have no numbers."""
    cut_torn_tails(data, times)
    end = os.fstat(data).st_size
    if end >= max(span.last.start, 1):  # else it was cut, and whoever counts its lines begins with its first
        os.fdatasync(data)  # of another program's lines too
        next_record = span.last.first + count_lines_of(data, span.last.start, end)
        write_all(times, TimeEntry(next_record, end, end, SYSTEM.now_us()).pack())
        os.fdatasync(times)
