"""Enrich: telemetry from a log or a file through an enricher into another one. At least once, in the order of each partition.

What is polled is committed when the target has acknowledged it. What is refused goes to the dead letters whole.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.apply import Line
from devicesync.jobs.shared.bad_share import BadShare
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.law.refusal import Refused
from devicesync.log.full import Forward, Row, RowReader

READER = "enrich"
"""Its name as a reader of the telemetry topic."""

_POLL_SECONDS = 0.25
_log: Any = structlog.get_logger("devicesync")


class Enriches(Protocol):
    """devicesync.Enricher, or the same over a database."""

    def enrich(self, events: Sequence[bytes]) -> list[bytes | Refused]:
        """Each event enriched, or why it is refused. Raises Unavailable."""
        ...


class Progress:
    """What the job has done so far: events read, those written, and dead letters by their reasons."""

    def __init__(self) -> None:
        self.read = self.written = 0
        self.dead: Counter[str] = Counter()

    def document(self) -> dict[str, Any]:
        """What `enrich --json` prints."""
        return {"read": self.read, "written": self.written, "dead": self.dead.total(), "dead_reasons": dict(self.dead)}


class Job(NamedTuple):
    """What both ways share. source: what the dead letters call the place where events come from."""

    enricher: Enriches
    dead_letters: DeadLetters
    bad_share: BadShare
    stop: threading.Event
    source: str
    progress: Progress


def enrich_lines(
    job: Job,
    batches: Iterable[Sequence[Line]],
    write: Callable[[Sequence[bytes]], None],
    advance: Callable[[int], None] = lambda size: None,
) -> None:
    """From a file: its lines in batches. advance: is told the bytes of each batch. Raises TooManyBad, Stopped."""
    patience = Patience(job.stop)
    for batch in batches:
        if job.stop.is_set():
            raise Stopped
        events = [line.value for line in batch]
        done = patience.until_it_works(lambda events=events: job.enricher.enrich(events))  # type: ignore[misc]
        dead = []
        for line, result in zip(batch, done, strict=True):
            if isinstance(result, Refused):
                dead.append(DeadLetter(line.value, result.reason, result.detail, job.source, 0, line.number, line.read_ms))
        _bury(job, patience, dead, len(batch))
        good = [result for result in done if isinstance(result, bytes)]
        write(good)
        job.progress.written += len(good)
        advance(sum(len(event) + 1 for event in events))


def enrich_rows(job: Job, reader: RowReader, target: Forward, *, batch_records: int, until_caught_up: bool = False) -> None:
    """From a log into another, until `stop` is set, or until nothing is left. A log or cache that is down is waited for.

    Raises TooManyBad; the batch in hand is then not committed.
    """
    patience = Patience(job.stop, reader.keep_alive)
    try:
        while not job.stop.is_set():
            rows = patience.until_it_works(lambda: reader.poll_rows(batch_records, _POLL_SECONDS))
            if rows:
                _pass_on(job, patience, rows, target)
            patience.until_it_works(reader.commit)
            if until_caught_up and not rows and patience.until_it_works(reader.caught_up):
                return
    except Stopped:
        _log.info("stopped while waiting; the batch in hand comes again on the next start")


def _pass_on(job: Job, patience: Patience, rows: Mapping[int, Sequence[Row]], target: Forward) -> None:
    flat = [(partition, row) for partition, found in rows.items() for row in found]
    events = [row[3] for _, row in flat if row[3] is not None]
    enriched = iter(patience.until_it_works(lambda: job.enricher.enrich(events)))
    out: dict[int, list[Row]] = {partition: [] for partition in rows}
    dead: list[DeadLetter] = []
    for partition, row in flat:
        offset, stamp_ms, key, value, headers = row
        result = next(enriched) if value is not None else _NULL
        if isinstance(result, Refused):
            dead.append(_letter(job, partition, row, result))
        else:
            out[partition].append((offset, stamp_ms, key, result, headers))
    _bury(job, patience, dead, len(flat))
    too_large = patience.until_it_works(lambda: target.put(out))
    if too_large:
        originals = {(partition, row[0]): row for partition, row in flat}
        _bury(job, patience, [_letter(job, place[0], originals[place], _TOO_LARGE) for place in too_large], 0)
    job.progress.written += len(flat) - len(dead) - len(too_large)
    _log.debug("batch", events=len(flat), dead=len(dead) + len(too_large))


_NULL = Refused("malformed_json", "the record is null: it has no value")
_TOO_LARGE = Refused("too_large", "with devicedata the event has more bytes than the topic takes")


def _letter(job: Job, partition: int, row: Row, refused: Refused) -> DeadLetter:
    offset, stamp_ms, key, value, _ = row
    time_ms = time.time_ns() // 1_000_000 if stamp_ms is None else stamp_ms
    return DeadLetter(value, refused.reason, refused.detail, job.source, partition, offset, time_ms, key)


def _bury(job: Job, patience: Patience, dead: Sequence[DeadLetter], read: int) -> None:
    """Put them to the dead letters. Raises TooManyBad when nearly everything is refused."""
    for letter in dead:
        job.bad_share.bad(letter.reason, letter.time_ms)
    job.bad_share.good(max(0, read - len(dead)))
    patience.until_it_works(lambda: job.dead_letters.add(dead))
    job.progress.read += read
    job.progress.dead.update(letter.reason for letter in dead)
