"""Refused records: opened to read or to change, tried again, deleted."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import Stopped
from devicesync.few import few_at_once

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetter, DeadLetters

_DAY_MS = 86_400_000
_FORGOTTEN_AT_ONCE = 10_000


class Replayed(NamedTuple):
    """How many records were tried again, and how many of them were valid and applied."""

    tried: int
    applied: int


def _go_on() -> None:
    """Nothing ends it before its end."""


def find(
    settings: Settings, *, reason: str | None, limit: int, check: Callable[[], None] = _go_on
) -> "tuple[int, list[DeadLetter]]":
    """How many match, and the newest of them. Nothing is made or changed. Raises Unavailable, and what `check` raises.

    check: is called again and again while a topic is read.
    """
    with _opened_to_read(settings, check) as letters:
        return letters.find(reason=reason, limit=limit) if letters else (0, [])


def get(settings: Settings, letter_id: str) -> "DeadLetter | None":
    """The one with this id. Nothing is made or changed. Raises Unavailable."""
    with _opened_to_read(settings) as letters:
        return letters.get(letter_id) if letters else None


def replay(settings: Settings, letter_id: str | None, reason: str | None, stop: threading.Event) -> Replayed:
    """Try one, those of a reason, or all again: what is valid now goes into both stores. Raises Unavailable, Stopped."""
    from devicesync.assembly.delivery import delivering  # noqa: PLC0415 - who only reads needs none of it
    from devicesync.jobs.replay import replay as replay_all  # noqa: PLC0415 - who only reads needs none of it

    def check() -> None:
        if stop.is_set():
            raise Stopped

    with _opened(settings, check) as letters, delivering(settings, "apply", stop) as delivery:
        chosen = _chosen(letters, letter_id, reason)
        return Replayed(*replay_all(chosen, letters, delivery, max_clock_ahead_ms=settings.max_clock_ahead_ms))


def delete(settings: Settings, letter_id: str | None, reason: str | None, older_than_days: float | None) -> int:
    """Forget one, those of a reason, or those that the log took so many days ago; how many. Raises Unavailable."""
    with _opened(settings) as letters:
        if older_than_days is not None:
            return letters.remove_older(SYSTEM.now_ms() - int(older_than_days * _DAY_MS))
        deleted = 0
        for some in few_at_once((letter.id for letter in _chosen(letters, letter_id, reason)), _FORGOTTEN_AT_ONCE):
            letters.remove(some)
            deleted += len(some)
        return deleted


def document(letter: "DeadLetter") -> dict[str, Any]:
    """The record as `dead-letters show --json` prints it."""
    names = ("id", "reason", "detail", "source", "partition", "offset", "time_ms")
    value = None if letter.value is None else base64.b64encode(letter.value).decode()
    return {name: getattr(letter, name) for name in names} | {"value_base64": value}


def _chosen(letters: "DeadLetters", letter_id: str | None, reason: str | None) -> "Iterator[DeadLetter]":
    if letter_id is None:
        return letters.each(reason)
    one = letters.get(letter_id)
    return iter([one] if one else [])


@contextmanager
def _opened(settings: Settings, check: Callable[[], None] = _go_on) -> Iterator["DeadLetters"]:
    if not named_log.is_shared(settings):
        data_directory.prepare(settings.directory)
    with closing(adapters.open_dead_letters(settings, check=check)) as letters:
        yield letters


@contextmanager
def _opened_to_read(settings: Settings, check: Callable[[], None] = _go_on) -> Iterator["DeadLetters | None"]:
    """None where none were made yet."""
    if not named_log.is_shared(settings):
        data_directory.check_format(settings.directory)
        if not adapters.dead_letters_path(settings).exists():
            yield None
            return
    with closing(adapters.open_dead_letters(settings, read_only=True, check=check)) as letters:
        yield letters
