"""The updater: reads the log, writes every change to the database and the cache, then commits.

One loop: poll a batch, decode and join it (batch.py), write it, keep what was refused, commit. Where the stores are servers,
two batches are being written while the next one is read. To the stores this looks like two updaters. Batches are finished in
their order: a batch is committed after both stores have it and every earlier batch. Writing twice is harmless. So a crash
anywhere loses nothing and changes nothing.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from devicesync.dead_letters.port import DeadLetters
from devicesync.errors import TooManyBad
from devicesync.jobs.batch import Batch, Folded
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.under_way import UnderWay
from devicesync.law.state import State
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Reader, Record
from devicesync.status import declared
from devicesync.status.declared import Readings
from devicesync.status.freshness import Freshness
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.status.tally import Laps, Tallies, Tally
from devicesync.stores import Stores

READER = "updater"
"""The updater's name as a reader of the journal."""

_IDLE_POLL_SECONDS = 0.25
_BRIEF_POLL_SECONDS = 0.005
_UNDER_WAY = 2
_UNDER_WAY_BYTES = 8 << 20
_log: Any = structlog.get_logger("devicesync")


class Counts:
    """What an updater has done so far. Its thread counts, any other may read.

    stale: devices of batches that brought nothing newer. steps: the seconds of each step of a batch.
    """

    def __init__(self) -> None:
        self.read = self.applied = self.stale = 0
        self.dead: Counter[str] = Counter()
        self.freshness = Freshness()
        self.batches = Tally(declared.BATCH_RECORDS)
        self.steps = Tallies(declared.FAST_SECONDS)

    def readings(self) -> Readings:
        """For Metrics."""
        return {
            declared.READ: self.read,
            declared.APPLIED: self.applied,
            declared.REFUSED: self.dead,
            declared.STALE: self.stale,
            declared.FRESHNESS: self.freshness.tally,
            declared.BATCH: self.batches,
            declared.STEP: self.steps,
        }


class Updater:
    """Runs the loop over one reader. `source` names the log in dead letters.

    has_all: whether the log has all that is copied into it from another one.
    """

    def __init__(
        self,
        reader: Reader,
        stores: Stores,
        dead_letters: DeadLetters,
        *,
        source: str,
        batch_records: int,
        refusal_limit: RefusalLimit,
        stop: threading.Event,
        max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
        spans: Spans = NO_SPANS,
    ) -> None:
        self.counts = Counts()
        self.has_all: Callable[[], bool] = lambda: True
        self._source = source
        self._spans = spans
        self._reader = reader
        reader.reads_headers = spans is not NO_SPANS
        refusal_limit.unread = reader.unread
        self._dead_letters = dead_letters
        self._batch_records = batch_records
        self._stop = stop
        self._patience = Patience(stop, reader.keep_alive)
        self._batch = Batch(stores, source=source, max_clock_ahead_ms=max_clock_ahead_ms, refusal_limit=refusal_limit)
        self._most_under_way = min(stores.database.threads - 1, _UNDER_WAY)
        self._threads = ThreadPoolExecutor(self._most_under_way, "write") if self._most_under_way else None
        self._under_way: deque[UnderWay] = deque()

    def run(self, *, until_caught_up: bool = False) -> None:
        """Work until `stop` is set, or with `until_caught_up` until the log has nothing more.

        A store that is down is waited for. Raises TooManyBad; the batch is then not committed.
        """
        try:
            while not self._stop.is_set():
                read = self.step(_IDLE_POLL_SECONDS)
                if until_caught_up and not read and self._is_caught_up():
                    return
            self.finish()
        except Stopped:
            _log.info("stopped while waiting; the batch comes again on the next start")

    def step(self, timeout_seconds: float) -> int:
        """Read a batch and begin to write it; how many records it had. A step that reads nothing commits what is written.

        Raises TooManyBad, and Stopped when asked to stop while a store is down.
        """
        laps = Laps(self.counts.steps)
        wait_seconds = min(timeout_seconds, _BRIEF_POLL_SECONDS) if self._under_way else timeout_seconds
        records = self._patience.until_it_works(self._reader.poll, self._batch_records, wait_seconds)
        if not records:
            self._finish_written()
            if not self._under_way:  # the reader may have passed what has no records: blank lines, or numbers that nobody got
                self._patience.until_it_works(self._reader.commit)
            return 0
        laps.end("poll")
        try:
            folded = self._batch.fold(records)
        except TooManyBad:
            self.finish(but_last=1)
            raise
        laps.end("decode")
        self._under_way.append(UnderWay(records, folded, partial(self._write, records, folded), self._threads))
        while len(self._under_way) > self._most_under_way or self._holds_much():
            self._finish_first(0)
        return len(records)

    def finish(self, but_last: int = 0) -> None:
        """Finish and commit the batches under way. Do not commit the last `but_last` polls. Raises Stopped."""
        while self._under_way:
            self._finish_first(but_last)

    def write(self, changes: Mapping[str, State]) -> None:
        """Write changes to both stores, and commit what the reader has passed. Waits for stores; raises Stopped."""
        self.finish()
        self._patience.until_it_works(self._batch.write, changes)
        self._patience.until_it_works(self._reader.commit)

    def close(self) -> None:
        """Return when nothing writes any more. What was not finished comes again on the next start."""
        if self._threads:
            self._threads.shutdown()

    def _write(self, records: Sequence[Record], folded: Folded) -> int:
        with self._spans.batch(self._source, records):
            stale = self._batch.write(folded.changes)
        self.counts.freshness.observe(records)
        return stale

    def _is_caught_up(self) -> bool:
        return not self._under_way and self.has_all() and self._patience.until_it_works(self._reader.caught_up)

    def _finish_written(self) -> None:
        """Wait for no batch: a record that comes meanwhile would wait with it."""
        while self._under_way and self._under_way[0].is_written:
            self._finish_first(0)

    def _holds_much(self) -> bool:
        return sum(batch.size for batch in self._under_way) > _UNDER_WAY_BYTES

    def _finish_first(self, but_last: int) -> None:
        batch, counts = self._under_way[0], self.counts
        records, folded = batch.records, batch.folded
        stale = self._patience.until_it_works(batch.finish)
        counts.steps["write"].observe(batch.seconds)
        laps = Laps(counts.steps)
        self._patience.until_it_works(self._dead_letters.add, folded.dead)
        laps.end("dead_letters")
        self._under_way.popleft()
        self._patience.until_it_works(self._reader.commit, len(self._under_way) + but_last)
        laps.end("commit")
        counts.read += len(records)
        counts.applied += folded.applied
        counts.stale += stale
        counts.dead.update(letter.reason for letter in folded.dead)
        counts.batches.observe(len(records))
        devices, dead, seconds = len(folded.changes), len(folded.dead), round(batch.seconds + laps.seconds, 6)
        _log.debug("batch", records=len(records), devices=devices, dead=dead, seconds=seconds)
