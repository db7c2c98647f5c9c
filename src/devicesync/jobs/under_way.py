"""A batch that is being written, beside the updater's own thread or in it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from functools import cached_property

from devicesync.jobs.batch import Folded
from devicesync.log.port import Record


class UnderWay:
    """A batch that was read and decoded. `write` writes it, and returns how many of its devices were not newer.

    threads: the executor that writes the batch. None: `finish` writes it, in the caller's thread.
    seconds: from the start of the first attempt to the end of the last one.
    """

    def __init__(self, records: Sequence[Record], folded: Folded, write: Callable[[], int], threads: Executor | None) -> None:
        self.records = records
        self.folded = folded
        self.seconds = 0.0
        self._began = 0.0
        self._write = write
        self._threads = threads
        self._written = self._begin()

    @cached_property
    def size(self) -> int:
        """The bytes of its records' values."""
        return sum(len(record.value or b"") for record in self.records)

    @property
    def is_written(self) -> bool:
        """Whether `finish` need not wait for a thread."""
        return self._written is None or self._written.done()

    def finish(self) -> int:
        """Return when both stores have it. Raises Unavailable; the next call writes it again."""
        written, self._written = self._written or self._begin(), None
        return written.result() if written else self._timed()

    def _begin(self) -> Future[int] | None:
        return self._threads.submit(self._timed) if self._threads else None

    def _timed(self) -> int:
        self._began = self._began or time.perf_counter()
        stale = self._write()
        self.seconds = time.perf_counter() - self._began
        return stale
