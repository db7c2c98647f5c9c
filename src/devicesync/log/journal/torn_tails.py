"""What a process that was killed, or a full disk, left half written at the end of a segment and of its times."""

import os

from devicesync.log.journal.times import ENTRY_BYTES

_TAIL_BYTES = 1 << 16


def cut_torn_tails(segment: int, times: int) -> None:
    """Cut what follows the last line end, and the last whole entry of the times. Both files are open. Raises OSError.

    It was never acknowledged, and no reader takes it.
    """
    size = os.fstat(times).st_size
    if size % ENTRY_BYTES:
        os.ftruncate(times, size - size % ENTRY_BYTES)
    end = os.fstat(segment).st_size
    whole = _end_of_lines(segment, end)
    if whole != end:
        os.ftruncate(segment, whole)


def _end_of_lines(segment: int, end: int) -> int:
    while end:
        start = max(end - _TAIL_BYTES, 0)
        found = os.pread(segment, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def begins_a_line(data: int, written_bytes: int) -> bool:
    """Whether what was just written there is not the rest of a line that another program has begun meanwhile."""
    begin = os.lseek(data, 0, os.SEEK_CUR) - written_bytes
    return begin == 0 or os.pread(data, 1, begin - 1) == b"\n"
