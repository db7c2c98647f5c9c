"""Where row groups wait, and are compressed: in a thread beside the one that reads the log.

They wait in files that are used again and again: to get pages from the system, and to give them back, takes longer than writing.
"""

import os
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import FileIO
from pathlib import Path

_AHEAD = 2


class Encoder:
    """`directory` has the files. Queues at most two jobs to bound memory; `submit` blocks when the queue is full."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "encode")
        self._ahead: deque[Future[None]] = deque()
        self._free: list[FileIO] = []

    def submit(self, work: Callable[[], None]) -> "Future[None]":
        """Have it done, after what was brought before."""
        if len(self._ahead) == _AHEAD:
            wait([self._ahead.popleft()])
        self._ahead.append(self._thread.submit(work))
        return self._ahead[-1]

    def take_file(self) -> FileIO:
        """A file to write to from its beginning; old content may follow what is written. Raises OSError."""
        if not self._free:
            descriptor, name = tempfile.mkstemp(dir=self._directory)
            os.close(descriptor)
            return FileIO(name, "r+b")
        file = self._free.pop()
        file.seek(0)
        return file

    def give_back(self, file: FileIO) -> None:
        """It is not needed any more."""
        self._free.append(file)

    def close(self) -> None:
        """End the thread, when all is done."""
        self._thread.shutdown()
        for file in self._free:
            file.close()
