"""What the journal still has: from which record to which. It is looked up without a lock, while others append and rotate."""

import os
from contextlib import ExitStack, suppress
from itertools import pairwise

from devicesync.durable import open_regular
from devicesync.errors import Unavailable
from devicesync.log.journal.files import JournalFiles, count_lines_of, naming_failures, same_file
from devicesync.log.journal.times import span_of

_LOOKS = 100
"""A rotation syncs its files and so takes far longer than a look: of so many in a row one comes between two of them."""


def bounds_of(files: JournalFiles) -> tuple[int, int]:
    """The number of the first record that the journal still has, and the one that its next record will have.

    Both as they were at a moment while this ran: it looks again where a file moved meanwhile. Raises Unavailable.
    """
    with naming_failures("read", files.active):
        for _ in range(_LOOKS):
            with suppress(FileNotFoundError):  # a segment was dropped meanwhile
                if bounds := _bounds_at_rest(files):
                    return bounds
    raise Unavailable(f"the segments of {files.active} change faster than they are read", "see what moves them")


def left_from(files: JournalFiles, start: int, end: int) -> int:
    """Return the number between these from which on no segment is missing; `start` if none is. Raises Unavailable."""
    with naming_failures("read", files.active):
        span = span_of(files.times)
        firsts = [*files.closed_firsts(), *([span.beginning.first] if span else [])]
        for before, first in reversed([*pairwise([-1, *firsts])]):
            if start < first <= end and not (before >= 0 and files.end_of(before) >= first):
                return first
    return start


def _bounds_at_rest(files: JournalFiles) -> tuple[int, int] | None:
    """The bounds; None where the files moved while they were read.

    An active file that stays in its place has its own times beside it. Where it is missing, or those are of a segment that
    was moved, a rotation is under way, or was cut short: the end is that of the closed segments, or where the next one's
    times already begin.
    """
    with ExitStack() as on_exit:
        active = -1
        with suppress(FileNotFoundError):
            active = open_regular(files.active, os.O_RDONLY)
            on_exit.callback(os.close, active)
        rotates = files.rotating() is not None  # asked before the times are read: then they are not the closed one's
        span = span_of(files.times)
        firsts = files.closed_firsts()
        if span and active >= 0 and not rotates:
            end = span.last.first + count_lines_of(active, span.last.start)
        else:
            end = max(files.end_of_closed(), span.last.first if span else 0)
        moved = active >= 0 and not same_file(active, files.active)
        if moved or files.closed_firsts() != firsts:
            return None
    return min(firsts, default=span.beginning.first if span else end), end
