"""Replay: tries dead letters again; those that are valid now go into the log and leave the dead letters."""

from collections.abc import Sequence
from contextlib import suppress

from devicesync.clock import SYSTEM, Clock
from devicesync.dead_letters.port import DeadLetter, DeadLetters
from devicesync.jobs.delivery import Delivery
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused


def replay(
    letters: Sequence[DeadLetter], store: DeadLetters, delivery: Delivery, *, max_clock_ahead_ms: int, clock: Clock = SYSTEM
) -> int:
    """How many were applied. They are removed only when both stores have them. Raises Unavailable, Stopped."""
    now_ms = clock.now_ms()
    valid: list[tuple[str, bytes, Event]] = []
    for letter in letters:
        if letter.value is None:
            continue
        with suppress(Refused):
            event = decode(letter.value, taken_ms=now_ms, max_clock_ahead_ms=max_clock_ahead_ms)
            valid.append((letter.id, letter.value, event))
    delivery.send([value for _, value, _ in valid], [event for _, _, event in valid])
    delivery.wait_until_stored()
    store.remove([letter_id for letter_id, _, _ in valid])
    return len(valid)
