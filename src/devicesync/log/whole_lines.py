"""The whole lines of a file that others write, read from a byte on. However long a line is, memory is bounded."""

import os

LONGEST_LINE_BYTES = 1 << 20
"""Of a longer line this much is kept, its beginning. It is more than the law reads of any event, so the law refuses it."""


class WholeLines:
    """Reads an open file. Of a long line without an end, what was searched for one is not searched again.

    The first LONGEST_LINE_BYTES are: another writer may have cut off a half line, and written whole ones in its place.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._byte, self._searched = 0, LONGEST_LINE_BYTES

    def read(self, byte: int, limit: int | None = None) -> tuple[list[bytes], int]:
        """The lines from `byte` on without their ends, at most `limit`, and their bytes in the file, ends included.

        A line that is longer than LONGEST_LINE_BYTES comes alone. [] and 0 where there is no whole line now. Raises OSError.
        """
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
            self._byte, self._searched = byte, LONGEST_LINE_BYTES
        if not self._end_from(byte, self._searched):
            return 0
        return self._end_from(byte, LONGEST_LINE_BYTES)  # whole lines may be where a half one was searched

    def _end_from(self, byte: int, searched: int) -> int:
        while chunk := os.pread(self._file, LONGEST_LINE_BYTES, byte + searched):
            end = chunk.find(b"\n")
            if end >= 0:
                return searched + end
            searched += len(chunk)
        self._searched = searched
        return 0
