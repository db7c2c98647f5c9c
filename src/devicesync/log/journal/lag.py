"""How far a reader of the journal is behind, seen from outside; nothing is opened for writing."""

import fcntl
from contextlib import closing, suppress

from devicesync.clock import SYSTEM
from devicesync.durable import opened
from devicesync.log.gone import Gone
from devicesync.log.journal.bounds import bounds_of, left_from
from devicesync.log.journal.cursor import Cursor
from devicesync.log.journal.files import JournalFiles, naming_failures
from devicesync.log.journal.segment import Segment
from devicesync.log.port import Lag


def reader_lag(files: JournalFiles, name: str) -> Lag:
    """How far the reader of that name is behind. Raises Unavailable."""
    first, end = bounds_of(files)
    with closing(Cursor(files, files.read_position(name) or 0)) as cursor:
        records = max(end - max(cursor.position, first), 0)
        oldest = cursor.read(1) if records else []
    age_seconds = max(SYSTEM.now_us() / 1e6 - oldest[0].taken_ms / 1000, 0.0) if oldest else 0.0
    return Lag(records, age_seconds, _is_read(files, name))


def overtaken(files: JournalFiles, name: str) -> Gone:
    """What is gone from the journal, and the reader of that name may not have read. Raises Unavailable."""
    position, (first, end) = files.read_position(name), bounds_of(files)
    if position is None:
        return Gone(0, first)
    return Gone(max(left_from(files, position, end) - position, 0), 0)


def check_segments(files: JournalFiles) -> None:
    """Raise Unavailable where a closed segment or its times can't be opened: who looks for the last version reads them."""
    with naming_failures("read", files.active):
        for first in files.closed_firsts():
            with suppress(FileNotFoundError):  # it was dropped meanwhile, or its rotation is under way
                Segment(files.closed(first), first).close()


def _is_read(files: JournalFiles, name: str) -> bool:
    """A reader keeps its position's file locked."""
    try:
        with opened(files.position(name)) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
