"""Taking messages from a consumer. Their number bounds no memory: some KB on the wire can stand for gigabytes of records."""

from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, Message

from devicesync.log.kafka.headers import headers_of
from devicesync.log.record_bytes import bytes_of_headers

_MOST_BYTES = 16 << 20
_MESSAGE_BYTES, _HEADER_BYTES = 400, 100
"""For each message and header beside its bytes: what the client and Python need to hold it, also where it is empty."""
_STEP = 32


class Bound:
    """How much is taken at once: 16 MiB, and what the last message has beyond that.

    beyond: how many of the messages that were counted last lie beyond the bound.
    """

    def __init__(self) -> None:
        self.beyond = 0
        self._left = _MOST_BYTES

    @property
    def is_reached(self) -> bool:
        """Whether no more should be taken."""
        return self._left <= 0

    def count(self, messages: Sequence[Message]) -> None:
        """Count these with their headers, one by one up to the bound. Headers of those beyond it are not read."""
        counted = 0
        for message, headers in zip(messages, headers_of(messages), strict=False):
            counted += 1
            self._left -= _MESSAGE_BYTES + len(message) + len(message.key() or b"")  # len: of the value
            if headers:
                self._left -= _HEADER_BYTES * len(headers) + bytes_of_headers(headers)
            if self._left <= 0:
                break
        self.beyond = len(messages) - counted


def taken(consumer: Consumer, most: int, bound: Bound) -> Iterator[list[Message]]:
    """Yield messages that have come already, some at a time: at most `most`, until the bound. Raises KafkaException."""
    while most and not bound.is_reached:
        step = min(_STEP, most)
        messages = consumer.consume(step, 0)
        yield messages
        bound.count(messages)
        if len(messages) < step:
            return
        most -= step
