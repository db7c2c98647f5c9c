"""The headers of records. Any producer may give them names that the client can't read."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from confluent_kafka import Message

from devicesync.log.port import Headers

_headers: Any = Message.headers
_set_headers: Any = Message.set_headers
_log: Any = structlog.get_logger("devicesync")


def headers_of(messages: Sequence[Message]) -> Iterator[Headers | None]:
    """The headers of each, read when they are asked for.

    None of those that have none, and of those with a name that is not UTF-8. The latter are told, once for each message.
    """
    count = 0
    rest = iter(messages)
    while count < len(messages):
        try:
            # Of such a name the client gives an error and a broken list. `map` sees the error; a call of the method does not,
            # once the interpreter has specialised it, and whatever runs next fails.
            for headers in map(_headers, rest):
                count += 1
                yield headers
        except (UnicodeDecodeError, SystemError):
            _set_headers(messages[count], None)  # asked again, the client would give broken ones
            _say_unreadable(messages[count])
            count += 1
            yield None


def _say_unreadable(message: Message) -> None:
    _log.error(
        "a record is taken without its headers: the name of one is not UTF-8",
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
    )
