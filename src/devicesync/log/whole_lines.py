"""The whole lines of a file that others write, read from a byte on. However long a line is, memory is bounded."""

import os

LONGEST_LINE_BYTES = 1 << 20
"""Of a longer line this much is kept, its beginning. It is more than the law reads of any event, so the law refuses it."""


class WholeLines:
    """Reads an open file. What was found to be no whole line yet is not read again before its end has come."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._byte = self._searched = 0

    def read(self, byte: int, limit: int | None = None) -> tuple[list[bytes], int]:
        """The lines from `byte` on without their ends, at most `limit`, and their bytes in the file, ends included.

        A line that is longer than LONGEST_LINE_BYTES comes alone. [] and 0 where there is no whole line now. Raises OSError.
        """
        if byte != self._byte:
            self._byte, self._searched = byte, 0
        while True:
            chunk = os.pread(self._file, LONGEST_LINE_BYTES, byte + self._searched)
            end = chunk.find(b"\n") if self._searched else chunk.rfind(b"\n")
            if end >= 0:
                break
            self._searched += len(chunk)
            if len(chunk) < LONGEST_LINE_BYTES:
                return [], 0
        if self._searched:
            size = self._searched + end
            return [self.beginning(byte, size)], size + 1
        lines = chunk[:end].split(b"\n", -1 if limit is None else limit)[:limit]
        return lines, sum(map(len, lines)) + len(lines)

    def beginning(self, byte: int, size: int) -> bytes:
        """The line from `byte` on that has so many bytes, or what is kept of it. Raises OSError."""
        return os.pread(self._file, min(size, LONGEST_LINE_BYTES), byte)
