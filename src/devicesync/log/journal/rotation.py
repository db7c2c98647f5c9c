"""Rotation: the active segment is closed, and the next one begins."""

import errno
import os
from contextlib import ExitStack

from devicesync.clock import SYSTEM
from devicesync.durable import open_regular, write_all
from devicesync.log.journal.files import JournalFiles, count_lines_of, same_file
from devicesync.log.journal.times import Span, TimeEntry, span_of
from devicesync.log.journal.torn_tails import cut_torn_tails


def set_aside(files: JournalFiles) -> None:
    """Close the active segment, if it has times. They note where it ends. Raises OSError."""
    if span := span_of(files.times):
        with ExitStack() as on_exit:
            data = open_regular(files.active, os.O_RDWR)
            on_exit.callback(os.close, data)
            times = open_regular(files.times, os.O_RDWR | os.O_APPEND)
            on_exit.callback(os.close, times)
            _check_it_is_there(files, span, data)
            _note_end(data, times, span)
            _check_it_is_there(files, span, data)
            files.active.rename(files.closed(span.beginning.first))
        files.finish_rotation()


def _check_it_is_there(files: JournalFiles, span: Span, data: int) -> None:
    """Raise OSError where another process has closed it meanwhile: the next segment would be written over it.

    As one with another lock, after the lock's file was removed while this process was frozen.
    """
    now = span_of(files.times)
    if not same_file(data, files.active) or now is None or now.beginning != span.beginning:
        raise OSError(errno.EIO, "another process has closed it meanwhile", str(files.active))


def _note_end(data: int, times: int, span: Span) -> None:
    """Lines that another program, which has the segment open, appends behind that end have no numbers."""
    cut_torn_tails(data, times)
    end = os.fstat(data).st_size
    if end >= max(span.last.start, 1):  # else it was cut, and whoever counts its lines begins with its first
        next_record = span.last.first + count_lines_of(data, span.last.start, end)
        write_all(times, TimeEntry(next_record, end, end, SYSTEM.now_us()).pack())
        os.fdatasync(times)
