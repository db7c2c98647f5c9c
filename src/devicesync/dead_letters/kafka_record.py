"""A dead letter as a record of Kafka: the refused record's key and value, and headers that say why."""

import re
from typing import Any, cast

from confluent_kafka import Message

from devicesync.dead_letters.port import DeadLetter
from devicesync.log.kafka import Outgoing
from devicesync.log.port import Headers

_WORDS, _LONGEST_WORD = ("reason", "replayed"), 64
_LONGEST = 1 << 16
_NUMBERS = ("partition", "offset", "time_ms")
_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)
_LARGEST = (1 << 63) - 1  # SQLite holds no larger one


def why_of(pairs: Headers | None) -> dict[str, str]:
    """The headers of a dead letter or of a marker; {} of what somebody else has put there, longer ones too."""
    try:
        headers = {name: value.decode() for name, value in pairs or [] if value is not None}
    except UnicodeDecodeError:
        return {}
    if sum(map(len, headers.values())) > _LONGEST or any(len(headers.get(name, "")) > _LONGEST_WORD for name in _WORDS):
        return {}
    if "replayed" in headers:
        return {"replayed": headers["replayed"]}
    is_letter = "reason" in headers and all(_is_number(headers.get(name, "")) for name in _NUMBERS)
    return headers if is_letter else {}


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and -_LARGEST - 1 <= int(text) <= _LARGEST


def outgoing(letter: DeadLetter) -> Outgoing:
    """The record to be produced."""
    headers = {
        "reason": letter.reason,
        "detail": letter.detail,
        "topic": letter.source,
        "partition": str(letter.partition),
        "offset": str(letter.offset),
        "time_ms": str(letter.time_ms),
    }
    return Outgoing(letter.value, letter.key, [(name, text.encode()) for name, text in headers.items()])


def letter_of(message: Message, headers: dict[str, str]) -> DeadLetter:
    """The dead letter that a record with these headers is."""
    key = message.key()
    partition, offset, time_ms = (int(headers[name]) for name in _NUMBERS)
    return DeadLetter(
        message.value(),
        cast("Any", headers["reason"]),
        headers.get("detail", ""),
        headers.get("topic", ""),
        partition,
        offset,
        time_ms,
        key.encode() if isinstance(key, str) else key,
    )
