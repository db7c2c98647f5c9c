"""Replay: tries dead letters again; those that are valid now go into the log and leave the dead letters. In batches."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

from devicesync.clock import SYSTEM, Clock
from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.delivery import Delivery
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused

_BATCH_RECORDS, _BATCH_BYTES = 2000, 1 << 22


def replay(
    letters: Iterable[DeadLetter], store: DeadLetters, delivery: Delivery, *, max_clock_ahead_ms: int, clock: Clock = SYSTEM
) -> tuple[int, int]:
    """How many there were, and how many were applied. These are removed only when both stores have them.

    Raises Unavailable, Stopped.
    """
    now_ms = clock.now_ms()
    tried = applied = 0
    for batch in _batches(letters):
        valid: list[tuple[str, bytes, Event]] = []
        for letter in batch:
            if letter.value is None:
                continue
            with suppress(Refused):
                event = decode(letter.value, taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
                valid.append((letter.id, letter.value, event))
        delivery.send([value for _, value, _ in valid], [event for _, _, event in valid])
        delivery.wait_until_stored()
        store.remove([letter_id for letter_id, _, _ in valid])
        tried += len(batch)
        applied += len(valid)
    return tried, applied


def _batches(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    batch: list[DeadLetter] = []
    size = 0
    for letter in letters:
        batch.append(letter)
        size += len(letter.value or b"")
        if len(batch) == _BATCH_RECORDS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
