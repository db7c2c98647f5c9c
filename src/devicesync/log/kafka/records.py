"""Messages as readers get them."""

from collections.abc import Iterable, Sequence

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TIMESTAMP_NOT_AVAILABLE, Message

from devicesync.clock import SYSTEM, Clock
from devicesync.log.port import Headers, Record


def records_of(messages: Sequence[Message], headers: Iterable[Headers | None], clock: Clock = SYSTEM) -> list[Record]:
    """Messages as readers get them, each with its headers."""
    return [_record_of(message, of_message, clock) for message, of_message in zip(messages, headers, strict=False)]


def _record_of(message: Message, headers: Headers | None, clock: Clock) -> Record:
    now_ms = clock.now_us() // 1000
    kind, stamp_ms = message.timestamp()
    has_time = kind != TIMESTAMP_NOT_AVAILABLE
    # A producer's own clock may run ahead: what the broker did not stamp was taken now at the latest.
    is_logs = kind == TIMESTAMP_LOG_APPEND_TIME
    taken_ms = stamp_ms if is_logs else min(stamp_ms, now_ms) if has_time else now_ms
    logged_ms = stamp_ms if has_time else None
    partition, offset = int(message.partition() or 0), int(message.offset() or 0)
    return Record(
        message.value(), partition, offset, taken_ms, logged_ms, _bytes(message.key()), headers, None if is_logs else now_ms
    )


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key
