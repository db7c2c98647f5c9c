"""Records that the client can't unpack: a producer may make some KB of a topic stand for more bytes than the client takes."""

from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

_log: Any = structlog.get_logger("devicesync")


def passed_over(consumer: Consumer, message: Message) -> bool:
    """Whether the message says that the client can't unpack a record. The consumer then goes on at the next, and it is told.

    Without this the client would try the same record for ever. Raises KafkaException.
    """
    error = message.error()
    if error is None or error.code() != KafkaError._BAD_COMPRESSION:  # noqa: SLF001 - librdkafka's own codes have this name
        return False
    topic, partition, offset = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
    (position,) = consumer.position([TopicPartition(topic, partition)])
    if position.offset > offset:  # the error came twice, and it was passed over before
        return True
    consumer.seek(TopicPartition(topic, partition, offset + 1))
    _log.error(
        "a record can't be unpacked, and is passed over: neither the stores nor a backup get it",
        topic=topic,
        partition=partition,
        offset=offset,
        hint="its batch has more bytes unpacked than Kafka's client takes, some 90 MB; see who may write this topic",
    )
    return True
