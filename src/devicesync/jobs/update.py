"""The updater: reads the log, writes every change to the database and the cache, then commits.

One plain synchronous loop: poll a batch, apply it (batch.py), keep what was refused, commit. Nothing is committed before both
stores have it, and writing twice is harmless, so a crash anywhere loses nothing and changes nothing.
"""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog

from devicesync.dead_letters.port import DeadLetters
from devicesync.jobs.batch import Batch
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.state import State
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Reader
from devicesync.status import declared
from devicesync.status.declared import Readings
from devicesync.status.freshness import Freshness
from devicesync.status.tally import Laps, Tallies, Tally
from devicesync.stores import Stores

READER = "updater"
"""The updater's name as a reader of the journal."""

_IDLE_POLL_SECONDS = 0.25
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
    """Runs the loop over one reader. `source` names the log in dead letters."""

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
    ) -> None:
        self.counts = Counts()
        self._reader = reader
        self._dead_letters = dead_letters
        self._batch_records = batch_records
        self._stop = stop
        self._patience = Patience(stop, reader.keep_alive)
        self._batch = Batch(
            stores, source=source, max_clock_ahead_ms=max_clock_ahead_ms, refusal_limit=refusal_limit, patience=self._patience
        )

    def run(self, *, until_caught_up: bool = False) -> None:
        """Work until `stop` is set, or with `until_caught_up` until the log has nothing more.

        A store that is down is waited for. Raises TooManyBad; the batch is then not committed.
        """
        try:
            while not self._stop.is_set():
                read = self.step(_IDLE_POLL_SECONDS)
                if until_caught_up and not read and self._patience.until_it_works(self._reader.caught_up):
                    return
        except Stopped:
            _log.info("stopped while waiting; the batch comes again on the next start")

    def step(self, timeout_seconds: float) -> int:
        """One batch; how many records it had. Raises Stopped when asked to stop while a store is down."""
        laps, counts = Laps(self.counts.steps), self.counts
        records = self._patience.until_it_works(self._reader.poll, self._batch_records, timeout_seconds)
        if not records:
            return 0
        laps.end("poll")
        folded = self._batch.fold(records)
        laps.end("decode")
        stale = self._batch.write(folded.changes)
        counts.freshness.observe(records)
        laps.end("write")
        self._patience.until_it_works(self._dead_letters.add, folded.dead)
        laps.end("dead_letters")
        self._patience.until_it_works(self._reader.commit)
        laps.end("commit")
        counts.read += len(records)
        counts.applied += folded.applied
        counts.stale += stale
        counts.dead.update(letter.reason for letter in folded.dead)
        counts.batches.observe(len(records))
        devices, dead, seconds = len(folded.changes), len(folded.dead), round(laps.seconds, 6)
        _log.debug("batch", records=len(records), devices=devices, dead=dead, seconds=seconds)
        return len(records)

    def write(self, changes: Mapping[str, State]) -> None:
        """Write changes to both stores, and commit what the reader has passed. Waits for stores; raises Stopped."""
        self._batch.write(changes)
        self._patience.until_it_works(self._reader.commit)
