"""Where a partition begins and ends."""

from confluent_kafka import Consumer, TopicPartition

TIMEOUT_SECONDS = 5.0  # which a stop signal may have to wait for


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset that the partition has, and the one its next record will have. Raises KafkaException.

    To a consumer with the isolation level read_committed, the default, it ends where the first open transaction begins.
    """
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS)
    return low, high
