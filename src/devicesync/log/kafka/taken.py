"""Taking messages from a consumer. Their number bounds no memory: some KB on the wire can stand for gigabytes of records."""

from collections.abc import Iterator

from confluent_kafka import Consumer, Message

_MOST_BYTES = 16 << 20
_STEP = 32


def taken(consumer: Consumer, most: int) -> Iterator[list[Message]]:
    """Yield messages that have come already, some at a time: at most `most`, and few more than 16 MiB. Raises KafkaException."""
    size = 0
    while most and size < _MOST_BYTES:
        step = min(_STEP, most)
        messages = consumer.consume(step, 0)
        yield messages
        if len(messages) < step:
            return
        most -= step
        size += sum(len(message) + len(message.key() or b"") for message in messages)  # len: of the value
