"""Where a partition begins and ends."""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from devicesync.clock import SYSTEM

TIMEOUT_SECONDS = 5.0  # which a stop signal may have to wait for
_PAUSE_SECONDS = 0.1
_NO_LEADER_YET = {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE}


def bounds(consumer: Consumer, topic: str, partition: int, timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[int, int]:
    """The first offset that the partition has, and the one its next record will have. Raises KafkaException.

    To a consumer with the isolation level read_committed, the default, it ends where the first open transaction begins. A
    partition that was just made, or whose leader changes, has no leader for a moment: it is asked again until the time is over.
    """
    place = TopicPartition(topic, partition)
    deadline = SYSTEM.monotonic() + timeout_seconds
    while True:
        try:
            low, high = consumer.get_watermark_offsets(place, timeout=timeout_seconds)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or SYSTEM.monotonic() > deadline:
                raise
            SYSTEM.sleep(_PAUSE_SECONDS)
        else:
            return low, high
