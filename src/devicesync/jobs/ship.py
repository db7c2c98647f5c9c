"""Ship: the journal into another log, byte for byte and in order, each record keyed by its device."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.law.event import MAX_ID_BYTES, decode
from devicesync.law.refusal import Refused
from devicesync.log.port import Headers, Log, Reader, Record
from devicesync.status.spans import NO_SPANS, Spans

READER = "ship"
"""Its name as a reader of the journal."""

_POLL_SECONDS = 0.25
_MOST_BYTES = 1 << 19
"""Of a longer line this much is sent, its beginning: a topic takes 1 MiB by default, and the law reads 64 KiB at most."""
_log: Any = structlog.get_logger("devicesync")


class _Keyed(msgspec.Struct):
    device_id: str


_keyed = msgspec.json.Decoder(_Keyed).decode


def ship(
    source: Reader,
    target: Log,
    stop: threading.Event,
    *,
    batch_records: int,
    max_clock_ahead_ms: int,
    clock: Clock = SYSTEM,
    until_caught_up: bool = False,
    shipped: Callable[[int], None] = lambda records: None,
    topic: str = "",
    spans: Spans = NO_SPANS,
) -> None:
    """Work until `stop` is set, or until nothing is left. At least once: a crash ships the last records again.

    Bad records go along, without a key: who reads the target refuses them whole. Of a very long one the beginning goes. A target
    that is down is waited for, and nothing is skipped. `shipped` hears of each batch that is acknowledged. `topic` names the
    target in the spans. A record tells of the span in which it was shipped: a journal keeps no headers that could tell of an
    earlier one.
    """
    patience = Patience(stop, source.keep_alive)
    guarded = _Guarded(target, max_clock_ahead_ms, clock)
    try:
        while not stop.is_set():
            records = patience.until_it_works(source.poll, batch_records if guarded.has_appended else 1, _POLL_SECONDS)
            if records:
                values = [_sent(record) for record in records]
                with spans.send(topic, len(values)):
                    headers = [spans.headers()] * len(values)
                    patience.until_it_works(guarded.append, guarded.newest(records), values, headers)
                shipped(len(values))
                _log.debug("batch", records=len(values))
            patience.until_it_works(source.commit)
            if until_caught_up and not records and patience.until_it_works(source.caught_up):
                return
    except Stopped:
        pass


class _Guarded:
    """The target, which gets no record of which its last append tells that the updaters would refuse its version."""

    def __init__(self, target: Log, max_clock_ahead_ms: int, clock: Clock) -> None:
        self._target, self._max_clock_ahead_ms, self._clock = target, max_clock_ahead_ms, clock
        self.has_appended = False
        self._taken_ms: int | None = None
        self._wall_ms, self._monotonic = 0, 0.0

    def newest(self, records: Sequence[Record]) -> int:
        """The highest version in µs. What is bad by the journal's own time does not count: it is bad at any time."""
        newest = 0
        for record in records:
            with suppress(Refused):
                event = decode(record.value or b"", taken_ms=record.taken_ms, max_clock_ahead_ms=self._max_clock_ahead_ms)
                newest = max(newest, event.version)
        return newest

    def append(self, newest: int, values: Sequence[bytes], headers: Sequence[Headers | None]) -> None:
        """Append. Raises Unavailable while `newest` lies too far past the target's clock; then it may be called again."""
        self._check(newest)
        self._target.append(values, keys_of(values), headers)
        self.has_appended = True
        self._taken_ms = self._target.taken_ms()
        self._wall_ms, self._monotonic = self._clock.now_ms(), self._clock.monotonic()
        self._check(newest)

    def _check(self, newest: int) -> None:
        if self._taken_ms is None:
            return
        # A machine that slept has no monotonic time of it; one whose clock was set back has no other.
        passed_ms = max(self._clock.now_ms() - self._wall_ms, int((self._clock.monotonic() - self._monotonic) * 1000))
        ahead_ms = newest // 1000 - self._taken_ms - passed_ms
        if ahead_ms > self._max_clock_ahead_ms:
            raise Unavailable(
                f"the next records lie {ahead_ms // 1000} s past the broker's clock, so the updaters would refuse them",
                "set the clock of the API, by NTP for example; where the broker's is wrong, set it and start ship again",
            )


def _sent(record: Record) -> bytes:
    value = record.value or b""  # a journal has no null ones
    if len(value) > _MOST_BYTES:
        _log.warning("a line is too long to be an event: only its beginning is shipped", record=record.offset, bytes=len(value))
    return value[:_MOST_BYTES]


def keys_of(values: Sequence[bytes]) -> list[bytes | None]:
    """The device ids of records as keys; None for what has none."""
    return [_key_of(value) for value in values]


def _key_of(value: bytes) -> bytes | None:
    """Its device's id; None for a record that the law refuses for it. Key and value together would be more than a topic takes."""
    try:
        key = _keyed(value).device_id.encode()
        return key if len(key) <= MAX_ID_BYTES else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
