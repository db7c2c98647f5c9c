"""Ship: the journal into another log, byte for byte and in order, each record keyed by its device."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.log.port import Log, Reader, Record
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
    try:
        while not stop.is_set():
            records = patience.until_it_works(source.poll, batch_records, _POLL_SECONDS)
            if records:
                values = [_sent(record) for record in records]
                with spans.send(topic, len(values)):
                    headers = [spans.headers()] * len(values)
                    patience.until_it_works(target.append, values, keys_of(values), headers)
                shipped(len(values))
                _log.debug("batch", records=len(values))
            patience.until_it_works(source.commit)
            if until_caught_up and not records and patience.until_it_works(source.caught_up):
                return
    except Stopped:
        pass


def _sent(record: Record) -> bytes:
    value = record.value or b""  # a journal has no null ones
    if len(value) > _MOST_BYTES:
        _log.warning("a line is too long to be an event: only its beginning is shipped", record=record.offset, bytes=len(value))
    return value[:_MOST_BYTES]


def keys_of(values: Sequence[bytes]) -> list[bytes | None]:
    """The device ids of records as keys; None for what has none."""
    return [_key_of(value) for value in values]


def _key_of(value: bytes) -> bytes | None:
    try:
        return _keyed(value).device_id.encode()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
