"""Enrich: telemetry from a log or a file through an enricher into another one. At least once, in the order of each partition.

What is polled is committed when the target has acknowledged it. What is refused goes to the dead letters whole.
"""

import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_PART_BYTES = 16 << 20
"""So many bytes of enriched events, and one event more, are in memory. With a large profile 37 bytes of an event become 58 KB."""
_Placed = tuple[int, FullRecord]
"""A record and its partition."""
_log: Any = structlog.get_logger("devicesync")


class Enriches(Protocol):
    """devicesync.Enricher, or the same over a database."""

    def enrich(self, events: Sequence[bytes], until_bytes: int) -> list[bytes | Refused]:
        """Each event enriched, or why it is refused: of the first events, until they have so many bytes. Raises Unavailable."""
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
        """Those that are refused, of all in their order: None is a good one. Raises TooManyBad when nearly all are refused.

        For so long as they are read: the times of events are mostly their producers'.
        """
        dead = []
        for letter in letters:
            if letter is None:
                self.refusal_limit.good()
            else:
                self.refusal_limit.bad(letter.reason, SYSTEM.now_ms(), letter.partition)
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
    """From a file: its lines in batches. advance: is told the bytes of what is done. Raises TooManyBad, Stopped.

    A batch is done at once, unless the lines before became large: a database is read faster for whole batches, and it is read
    again for what is left of a batch.
    """
    patience = Patience(job.stop)
    at_once = _PIECE_RECORDS
    for batch in batches:
        left = batch
        while left:
            passed = _pass_lines_on(job, patience, left[:at_once], write)
            at_once = _PIECE_RECORDS if passed < _PIECE_RECORDS else sys.maxsize
            advance(sum(len(line.value) + line.more + 1 for line in left[:passed]))
            left = left[passed:]


def _pass_lines_on(job: Job, patience: Patience, lines: Sequence[Line], write: Callable[[Sequence[bytes]], None]) -> int:
    """Return how many of the lines are done, the first ones."""
    if job.stop.is_set():
        raise Stopped
    events = [line.value for line in lines if not line.more]
    enriched = patience.until_it_works(job.enricher.enrich, events, _PART_BYTES)
    done = [*_with_refused(enriched, [_TOO_LONG if line.more else None for line in lines])]
    letters = [
        letter_of(line, result, job.source) if isinstance(result, Refused) else None
        for line, result in zip(lines, done, strict=False)
    ]
    job.bury(patience, job.judged(letters))
    good = [result for result in done if isinstance(result, bytes)]
    write(good)
    job.progress.read += len(done)
    job.progress.written += len(good)
    return len(done)


def _with_refused(enriched: Sequence[bytes | Refused], refused: Sequence[Refused | None]) -> Iterator[bytes | Refused]:
    """What was enriched, and between it what was refused before. It ends where an enriched one is missing."""
    rest = iter(enriched)
    for reason in refused:
        result = reason or next(rest, None)
        if result is None:
            return
        yield result


def enrich_topic(job: Job, reader: ForwardedReader, target: Forward, *, until_caught_up: bool = False) -> None:
    """From a log into another, until `stop` is set, or until nothing is left. A log or cache that is down is waited for.

    Raises TooManyBad; the batch in hand is then not committed.
    """
    patience = Patience(job.stop, reader.keep_alive)
    job.refusal_limit.unread = reader.unread
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


class _Part:
    """Some of a batch: what was read, what the target was offered for it and its bytes, and the dead letters of the others."""

    def __init__(self) -> None:
        self.placed: list[_Placed] = []
        self.out: dict[int, list[FullRecord]] = defaultdict(list)
        self.bytes = 0
        self.dead: list[DeadLetter] = []

    def add(self, placed: Sequence[_Placed], out: Mapping[int, Sequence[FullRecord]], dead: Sequence[DeadLetter]) -> None:
        """Add a piece."""
        self.placed += placed
        self.dead += dead
        for partition, records in out.items():
            self.out[partition] += records
            self.bytes += sum(len(record[VALUE] or b"") for record in records)


def _pass_on(job: Job, patience: Patience, records: Mapping[int, Sequence[FullRecord]], target: Forward) -> None:
    """One batch, in pieces: while the target takes one, the next is enriched. It has to have them all after some MiB."""
    placed = [(partition, record) for partition, found in records.items() for record in found]
    part = _Part()
    start = 0
    while start < len(placed):
        if part.bytes >= _PART_BYTES:
            _finish(job, patience, part, target)
            part = _Part()
        out, letters = _enriched(job, patience, placed[start : start + _PIECE_RECORDS], _PART_BYTES - part.bytes)
        part.add(placed[start : start + len(letters)], out, job.judged(letters))
        target.offer(out)
        start += len(letters)
    _finish(job, patience, part, target)


def _finish(job: Job, patience: Patience, part: _Part, target: Forward) -> None:
    """Return when the dead letters and the target have all of it."""
    job.bury(patience, part.dead)
    too_large = patience.until_it_works(target.put, part.out)
    if too_large:
        originals = {(partition, record[OFFSET]): record for partition, record in part.placed}
        job.bury(patience, [_letter(job, place[0], originals[place], _TOO_LARGE) for place in too_large])
    job.progress.read += len(part.placed)
    job.progress.written += len(part.placed) - len(part.dead) - len(too_large)
    _log.debug("batch", records=len(part.placed), dead=len(part.dead) + len(too_large))


def _enriched(
    job: Job, patience: Patience, placed: Sequence[_Placed], until_bytes: int
) -> tuple[dict[int, list[FullRecord]], list[DeadLetter | None]]:
    """The first records with enriched values, until they have so many bytes; for each a dead letter where it is refused."""
    events = [record[VALUE] for _, record in placed if record[VALUE] is not None]
    enriched = patience.until_it_works(job.enricher.enrich, events, until_bytes)
    done = _with_refused(enriched, [_NULL if record[VALUE] is None else None for _, record in placed])
    out: dict[int, list[FullRecord]] = {partition: [] for partition, _ in placed}
    letters: list[DeadLetter | None] = []
    for (partition, record), result in zip(placed, done, strict=False):
        offset, stamp_ms, key, _, headers = record
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
