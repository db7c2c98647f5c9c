"""Whether another program took lines from the active segment, as its times and the lock's mark tell."""

import os

from devicesync.durable import open_regular
from devicesync.log.journal.files import JournalFiles, count_lines
from devicesync.log.journal.times import Span


def least_bytes(span: Span, mark: int | None) -> int:
    """So many the lines have at least. Whoever was killed before the last group was whole has left a mark."""
    return span.last.end if mark is None else span.last.start


def is_cut(files: JournalFiles, span: Span, mark: int | None, least: int) -> bool:
    """Whether lines are gone that were durable. least: the next number is this one at least. Raises OSError."""
    exists = files.active.exists()
    size = files.active.stat().st_size if exists else 0
    if size < least_bytes(span, mark) or (span.last.end and not exists):  # no lines yet: a rotation that was cut short
        return True
    return span.last.first + count_lines(files.active, span.last.start) < least


def is_edited(files: JournalFiles, span: Span) -> bool:
    """Whether the lines are others than those that the times are of: no line begins where the last group did. Raises OSError."""
    if not span.last.start or not files.active.exists():
        return False
    file = open_regular(files.active, os.O_RDONLY)
    try:
        return os.pread(file, 1, span.last.start - 1) not in (b"\n", b"")
    finally:
        os.close(file)
