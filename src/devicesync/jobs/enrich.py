"""Enrich: telemetry from a log or a file through an enricher into another one. At least once, in the order of each partition.

What is polled is committed when the target has acknowledged it. What is refused goes to the dead letters whole.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import structlog

from devicesync.clock import SYSTEM
from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.apply import Line, letter_of
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.refusal import Refused
from devicesync.log.full import OFFSET, VALUE, Forward, ForwardedReader, FullRecord

READER = "enrich"
"""Its name as a reader of the telemetry topic."""

_POLL_SECONDS = 0.25
_BATCH_RECORDS, _PIECE_RECORDS = 5_000, 500
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
    refusal_limit: RefusalLimit
    stop: threading.Event
    source: str
    progress: Progress

    def judged(self, letters: Iterable[DeadLetter | None]) -> list[DeadLetter]:
        """Those that are refused, of all in their order: None is a good one. Raises TooManyBad when nearly all are refused."""
        dead = []
        for letter in letters:
            if letter is None:
                self.refusal_limit.good()
            else:
                self.refusal_limit.bad(letter.reason, letter.time_ms)
                dead.append(letter)
        return dead

    def bury(self, patience: Patience, dead: Sequence[DeadLetter]) -> None:
        """Put them to the dead letters."""
        patience.until_it_works(self.dead_letters.add, dead)
        self.progress.dead.update(letter.reason for letter in dead)


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
        enriched = iter(patience.until_it_works(job.enricher.enrich, [line.value for line in batch if not line.more]))
        done = [_TOO_LONG if line.more else next(enriched) for line in batch]
        letters = [
            letter_of(line, result, job.source) if isinstance(result, Refused) else None
            for line, result in zip(batch, done, strict=True)
        ]
        job.bury(patience, job.judged(letters))
        good = [result for result in done if isinstance(result, bytes)]
        write(good)
        job.progress.read += len(batch)
        job.progress.written += len(good)
        advance(sum(len(line.value) + line.more + 1 for line in batch))


def enrich_topic(job: Job, reader: ForwardedReader, target: Forward, *, until_caught_up: bool = False) -> None:
    """From a log into another, until `stop` is set, or until nothing is left. A log or cache that is down is waited for.

    Raises TooManyBad; the batch in hand is then not committed.
    """
    patience = Patience(job.stop, reader.keep_alive)
    try:
        while not job.stop.is_set():
            records = patience.until_it_works(reader.poll_full, _BATCH_RECORDS, _POLL_SECONDS)
            if records:
                _pass_on(job, patience, records, target)
            patience.until_it_works(reader.commit)
            if until_caught_up and not records and patience.until_it_works(reader.caught_up):
                return
    except Stopped:
        _log.info("stopped while waiting; the batch in hand comes again on the next start")


def _pass_on(job: Job, patience: Patience, records: Mapping[int, Sequence[FullRecord]], target: Forward) -> None:
    """One batch, in pieces: while the target takes one, the next is enriched."""
    placed = [(partition, record) for partition, found in records.items() for record in found]
    out: dict[int, list[FullRecord]] = {partition: [] for partition in records}
    dead: list[DeadLetter] = []
    for start in range(0, len(placed), _PIECE_RECORDS):
        piece, letters = _enriched(job, patience, placed[start : start + _PIECE_RECORDS])
        dead += job.judged(letters)
        target.offer(piece)
        for partition, found in piece.items():
            out[partition] += found
    job.bury(patience, dead)
    too_large = patience.until_it_works(target.put, out)
    if too_large:
        originals = {(partition, record[OFFSET]): record for partition, record in placed}
        job.bury(patience, [_letter(job, place[0], originals[place], _TOO_LARGE) for place in too_large])
    job.progress.read += len(placed)
    job.progress.written += len(placed) - len(dead) - len(too_large)
    _log.debug("batch", records=len(placed), dead=len(dead) + len(too_large))


def _enriched(
    job: Job, patience: Patience, placed: Sequence[tuple[int, FullRecord]]
) -> tuple[dict[int, list[FullRecord]], list[DeadLetter | None]]:
    """The records with enriched values, and for each a dead letter where it is refused."""
    events = [record[VALUE] for _, record in placed if record[VALUE] is not None]
    done = iter(patience.until_it_works(job.enricher.enrich, events))
    out: dict[int, list[FullRecord]] = {partition: [] for partition, _ in placed}
    letters: list[DeadLetter | None] = []
    for partition, record in placed:
        offset, stamp_ms, key, value, headers = record
        result = _NULL if value is None else next(done)
        if isinstance(result, Refused):
            letters.append(_letter(job, partition, record, result))
        else:
            out[partition].append((offset, stamp_ms, key, result, headers))
            letters.append(None)
    return out, letters


_NULL = Refused("malformed_json", "the record is null: it has no value")
_TOO_LONG = Refused("too_large", "the line has more bytes than are kept")
_TOO_LARGE = Refused("too_large", "with devicedata the event has more bytes than the topic takes")


def _letter(job: Job, partition: int, record: FullRecord, refused: Refused) -> DeadLetter:
    offset, stamp_ms, key, value, _ = record
    time_ms = SYSTEM.now_ms() if stamp_ms is None else stamp_ms
    return DeadLetter(value, refused.reason, refused.detail, job.source, partition, offset, time_ms, key)
