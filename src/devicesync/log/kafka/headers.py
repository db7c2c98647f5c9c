"""The headers of records. Any producer may give them names that the client can't read."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Message

from devicesync.log.port import Headers

_headers: Any = Message.headers


def headers_of(messages: Sequence[Message], unreadable: Callable[[Message], None] = lambda message: None) -> list[Headers | None]:
    """The headers of each; None of those that have none, and of those of which a name is not UTF-8.

    unreadable: called with each of the latter.
    """
    found: list[Headers | None] = []
    rest = iter(messages)
    while len(found) < len(messages):
        try:
            # Of such a name the client gives an error and a broken list. `map` sees the error; a call of the method does not,
            # once the interpreter has specialised it, and whatever runs next fails. Asked twice, it gives broken headers.
            found.extend(map(_headers, rest))
        except (UnicodeDecodeError, SystemError):
            unreadable(messages[len(found)])
            found.append(None)
    return found
