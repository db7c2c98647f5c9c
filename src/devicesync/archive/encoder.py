"""Compresses row groups in a second thread, beside the one that reads the log.

The groups wait in files that are reused: to get pages from the system and give them back takes longer than to write. What a file
had is overwritten as soon as its group is compressed, for a backup may run for months.
"""

import os
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path

_AHEAD = 2
_ZEROS = bytes(1 << 20)


class Encoder:
    """`directory` holds the files. Queues at most two jobs to bound memory; `submit` blocks when the queue is full."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "encode")
        self._ahead: deque[Future[None]] = deque()
        self._free: list[FileIO] = []

    def submit(self, work: Callable[[], None]) -> "Future[None]":
        """Queue a job. The jobs are done in their order."""
        if len(self._ahead) == _AHEAD:
            wait([self._ahead.popleft()])
        self._ahead.append(self._thread.submit(work))
        return self._ahead[-1]

    def take_file(self) -> FileIO:
        """Return a file, to be written from its beginning. Zeros may follow what is written. Raises OSError."""
        if not self._free:
            descriptor, name = tempfile.mkstemp(dir=self._directory)
            os.close(descriptor)
            return FileIO(name, "r+b")
        return self._free.pop()

    def give_back(self, file: FileIO) -> None:
        """Take the file back, which is at the end of what was written. Raises OSError."""
        end = file.tell()
        file.seek(0)
        for begin in range(0, end, len(_ZEROS)):
            file.write(_ZEROS[: end - begin])
        file.seek(0)
        self._free.append(file)

    def close(self) -> None:
        """Finish all jobs, then end the thread."""
        self._thread.shutdown()
        for file in self._free:
            file.close()
