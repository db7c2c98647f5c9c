"""Replay: tries dead letters again; those that are valid now go into the log and leave the dead letters. In batches."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import structlog

from devicesync.clock import SYSTEM, Clock
from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.delivery import Delivery
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused

_BATCH_RECORDS, _BATCH_BYTES = 2000, 1 << 22
_log: Any = structlog.get_logger("devicesync")


def replay(
    letters: Iterable[DeadLetter], store: DeadLetters, delivery: Delivery, *, max_clock_ahead_ms: int, clock: Clock = SYSTEM
) -> tuple[int, int]:
    """How many there were, and how many were applied. These are removed only when both stores have them.

    Those that are kept in part stay, and a warning says so.

    Raises Unavailable, Stopped.
    """
    now_ms = clock.now_ms()
    tried = applied = in_part = 0
    for batch in _batches(letters):
        valid: list[tuple[str, bytes, Event]] = []
        for letter in batch:
            in_part += letter.is_in_part
            if letter.value is None or letter.is_in_part:
                continue
            with suppress(Refused):
                event = decode(letter.value, taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
                valid.append((letter.id, letter.value, event))
        delivery.send([value for _, value, _ in valid], [event for _, _, event in valid])
        delivery.wait_until_stored()
        store.remove([letter_id for letter_id, _, _ in valid])
        tried += len(batch)
        applied += len(valid)
    if in_part:
        hint = "the log or a backup may have them whole; if not, their producer"
        _log.warning("of some refused records only the beginning is kept: they can't be replayed", records=in_part, hint=hint)
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
