"""The updater: reads the log, writes every change to the database and the cache, then commits.

One plain synchronous loop: poll a batch, decode, fold per device, write both stores, commit. Nothing is committed
before both stores have it, and writing twice is harmless, so a crash anywhere loses nothing and changes nothing.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.state import State, join, state_of
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Reader, Record
from devicesync.stores import Stores

READER = "updater"
"""The updater's name as a reader of the journal."""

_IDLE_POLL_SECONDS = 0.25
_log: Any = structlog.get_logger("devicesync")


class Folded(NamedTuple):
    """A batch, folded: per device the join of its events, the refused records, and how many events were valid."""

    changes: dict[str, State]
    dead: list[DeadLetter]
    applied: int


class Counts:
    """What a job has done so far."""

    def __init__(self) -> None:
        self.read = self.applied = 0
        self.dead: Counter[str] = Counter()


def fold(
    records: Sequence[Record],
    *,
    source: str,
    refusal_limit: RefusalLimit,
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
) -> Folded:
    """Decode records and join them per device. Raises TooManyBad when nearly everything is refused."""
    events: list[Event] = []
    dead: list[DeadLetter] = []
    for value, partition, offset, taken_ms, logged_ms, key in records:
        try:
            if value is None:
                raise Refused("malformed_json", "the record is null: it has no value")  # noqa: TRY301 - a call costs every event
            events.append(decode(value, taken_ms=taken_ms, logged_ms=logged_ms, max_clock_ahead_ms=max_clock_ahead_ms))
        except Refused as refused:
            dead.append(DeadLetter(value, refused.reason, refused.detail, source, partition, offset, taken_ms, key))
            refusal_limit.bad(refused.reason, taken_ms)
        else:
            refusal_limit.good()
    return Folded(join_events(events), dead, len(events))


def join_events(events: Iterable[Event]) -> dict[str, State]:
    """Per device the join of its events."""
    changes: dict[str, State] = {}
    for event in events:
        state = state_of(event)
        before = changes.get(event.device_id)
        changes[event.device_id] = state if before is None else join(before, state)
    return changes


class Updater:
    """Runs the loop over one reader. `source` names the log in dead letters; `after_batch` hears of each batch."""

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
        after_batch: Callable[[Sequence[Record]], None] = lambda records: None,
    ) -> None:
        self.counts = Counts()
        self._reader = reader
        self._stores = stores
        self._dead_letters = dead_letters
        self._source = source
        self._batch_records = batch_records
        self._refusal_limit = refusal_limit
        self._stop = stop
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._after_batch = after_batch
        self._patience = Patience(stop, reader.keep_alive)

    def run(self, *, until_caught_up: bool = False) -> None:
        """Work until `stop` is set, or with `until_caught_up` until the log has nothing more.

        A store that is down is waited for. Raises TooManyBad; the batch in hand is then not committed.
        """
        try:
            while not self._stop.is_set():
                read = self.step(_IDLE_POLL_SECONDS)
                if until_caught_up and not read and self._patience.until_it_works(self._reader.caught_up):
                    return
        except Stopped:
            _log.info("stopped while waiting; the batch in hand comes again on the next start")

    def step(self, timeout_seconds: float) -> int:
        """One batch; how many records it had. Raises Stopped when asked to stop while a store is down."""
        started = time.perf_counter()
        records = self._patience.until_it_works(lambda: self._reader.poll(self._batch_records, timeout_seconds))
        if not records:
            return 0
        folded = fold(
            records, source=self._source, refusal_limit=self._refusal_limit, max_clock_ahead_ms=self._max_clock_ahead_ms
        )
        self._patience.until_it_works(lambda: self._dead_letters.add(folded.dead))
        self.write(folded.changes)
        self.counts.read += len(records)
        self.counts.applied += folded.applied
        self.counts.dead.update(letter.reason for letter in folded.dead)
        self._after_batch(records)
        _log.debug(
            "batch",
            records=len(records),
            devices=len(folded.changes),
            dead=len(folded.dead),
            seconds=round(time.perf_counter() - started, 6),
        )
        return len(records)

    def write(self, changes: Mapping[str, State]) -> None:
        """Write changes to both stores, and commit what the reader has passed. Waits for stores; raises Stopped."""
        if changes:
            self._patience.until_it_works(lambda: self._stores.write(changes))
        self._patience.until_it_works(self._reader.commit)
