"""What Kafka's client gives among records: ends of partitions, and errors."""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaError, Message

from devicesync.log.kafka.unpacked import passed_over


def records_among(
    consumer: Consumer, messages: Sequence[Message], ends: dict[int, int]
) -> tuple[list[Message], KafkaError | None]:
    """The messages that are records, and the last error among the others. Raises KafkaException.

    ends: where a partition ended is noted in it, by partition.
    """
    records = []
    failed: KafkaError | None = None
    for message in messages:
        error = message.error()
        if error is None:
            records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes have this name
            ends[int(message.partition() or 0)] = int(message.offset() or 0)
        elif not passed_over(consumer, message):
            failed = error
    return records, failed
