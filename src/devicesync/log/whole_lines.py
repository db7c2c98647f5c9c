"""The whole lines of a file that others write, read from a byte on. However long a line is, memory is bounded."""

import os
import sys

LONGEST_LINE_BYTES = 1 << 20
"""Of a longer line this much is kept, its beginning. It is more than the law reads of any event, so the law refuses it."""


class WholeLines:
    """Reads an open file. Of a long line without an end, what was searched for one is not searched again.

    Once it has an end it is: another writer may have cut off a half line, and written whole ones in its place.
    at_once: so many bytes of a long line one call searches. The next call goes on there.
    is_searching: whether the last call ended so.
    """

    def __init__(self, file: int, at_once: int = sys.maxsize) -> None:
        self.is_searching = False
        self._file = file
        self._at_once = at_once
        self._byte, self._searched, self._has_end = 0, LONGEST_LINE_BYTES, False

    def read(self, byte: int, limit: int | None = None) -> tuple[list[bytes], int]:
        """The lines from `byte` on without their ends, at most `limit`, and their bytes in the file, ends included.

        A line that is longer than LONGEST_LINE_BYTES comes alone. [] and 0 where there is no whole line now. Raises OSError.
        """
        self.is_searching = False
        chunk = os.pread(self._file, LONGEST_LINE_BYTES, byte)
        end = chunk.rfind(b"\n")
        if end >= 0:
            lines = chunk[:end].split(b"\n", -1 if limit is None else limit)[:limit]
            return lines, sum(map(len, lines)) + len(lines)
        if len(chunk) < LONGEST_LINE_BYTES:
            return [], 0
        size = self._size_of_long(byte)
        return ([chunk], size + 1) if size else ([], 0)

    def beginning(self, byte: int, size: int) -> bytes:
        """The line from `byte` on that has so many bytes, or what is kept of it. Raises OSError."""
        return os.pread(self._file, min(size, LONGEST_LINE_BYTES), byte)

    def _size_of_long(self, byte: int) -> int:
        """How many bytes the long line from `byte` on has, without its end; 0 where it has no end yet."""
        if byte != self._byte or os.fstat(self._file).st_size < byte + self._searched:
            self._byte, self._searched, self._has_end = byte, LONGEST_LINE_BYTES, False
        end = self._search()
        if end and not self._has_end:
            self._has_end, self._searched = True, LONGEST_LINE_BYTES
            end = self._search()  # whole lines may be where a half one was searched
        self._has_end = self._has_end and self.is_searching
        return end

    def _search(self) -> int:
        """The first end of a line from where the last search came to; 0 where there is none, or not within `at_once`."""
        stop = self._searched + self._at_once
        self.is_searching = False
        while chunk := os.pread(self._file, LONGEST_LINE_BYTES, self._byte + self._searched):
            end = chunk.find(b"\n")
            if end >= 0:
                return self._searched + end
            self._searched += len(chunk)
            if self._searched >= stop:
                self.is_searching = True
                return 0
        return 0
