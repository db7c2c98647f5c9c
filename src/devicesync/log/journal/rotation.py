"""Rotation: the active segment is closed, and the next one begins."""

import os
from contextlib import ExitStack

from devicesync.clock import SYSTEM
from devicesync.durable import open_regular, write_all
from devicesync.log.journal.files import JournalFiles, count_lines_of
from devicesync.log.journal.times import Span, TimeEntry, span_of
from devicesync.log.journal.torn_tails import cut_torn_tails


def set_aside(files: JournalFiles) -> None:
    """Close the active segment, if it has times. They note where it ends. Raises OSError."""
    if span := span_of(files.times):
        _note_end(files, span)
        files.active.rename(files.closed(span.beginning.first))
        files.finish_rotation()


def _note_end(files: JournalFiles, span: Span) -> None:
    """Lines that another program, which has the segment open, appends behind that end have no numbers."""
    with ExitStack() as on_exit:
        data = open_regular(files.active, os.O_RDWR)
        on_exit.callback(os.close, data)
        times = open_regular(files.times, os.O_RDWR | os.O_APPEND)
        on_exit.callback(os.close, times)
        cut_torn_tails(data, times)
        end = os.fstat(data).st_size
        if end >= max(span.last.start, 1):  # else it was cut, and whoever counts its lines begins with its first
            next_record = span.last.first + count_lines_of(data, span.last.start, end)
            write_all(times, TimeEntry(next_record, end, end, SYSTEM.now_us()).pack())
            os.fdatasync(times)
