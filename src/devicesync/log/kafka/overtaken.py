"""How much of a topic its retention dropped before a consumer group had read it, seen from outside."""

from confluent_kafka import Consumer, TopicPartition

from devicesync.log.kafka.member import bounds
from devicesync.log.kafka.url import KafkaUrl, failures

_TIMEOUT_SECONDS = 10.0


def overtaken(url: KafkaUrl, group: str) -> int:
    """So many records, by their offsets, lie between what the group has committed and what the topic still has.

    Raises Unavailable.
    """
    consumer = Consumer({**url.client, "group.id": group, "enable.auto.commit": False})  # which never joins it
    try:
        with failures("ask"):
            partitions = consumer.list_topics(url.topic, timeout=_TIMEOUT_SECONDS).topics[url.topic].partitions
            positions = [TopicPartition(url.topic, partition) for partition in partitions]
            committed = [each for each in consumer.committed(positions, timeout=_TIMEOUT_SECONDS) if each.offset >= 0]
            return sum(max(bounds(consumer, url.topic, each.partition)[0] - each.offset, 0) for each in committed)
    finally:
        consumer.close()
