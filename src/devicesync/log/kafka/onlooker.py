"""A consumer that looks at a topic, or at what a group has committed, and joins no group."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.log.kafka.bounds import bounds
from devicesync.log.kafka.identity import identity_of, is_of
from devicesync.log.kafka.leaders import leaderless_in
from devicesync.log.kafka.url import KafkaUrl, failures

_TIMEOUT_SECONDS = 10.0


@contextmanager
def onlooker(url: KafkaUrl, group: str = "devicesync.survey", isolation: str = "read_committed") -> Iterator[Consumer]:
    """The consumer, closed after the body. group: whose commits it can ask for. Raises Unavailable, for the body too.

    isolation: "read_uncommitted" also looks at what lies behind open transactions, which no reader gets yet.
    """
    consumer = Consumer(
        {
            **url.client,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "fetch.wait.max.ms": 5,
            "enable.partition.eof": True,
        }
    )
    try:
        with failures("read"):
            yield consumer
    finally:
        consumer.close()


def all_bounds(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """Of each partition the first offset, and the one its next record will have; {} where there is no topic.

    Raises KafkaException.
    """
    partitions = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic].partitions
    return {partition: bounds(consumer, topic, partition) for partition in partitions}


def led_bounds(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """The same of the partitions that have a leader: the others can't be asked. Raises KafkaException."""
    found = consumer.list_topics(topic, timeout=_TIMEOUT_SECONDS).topics[topic]
    leaderless = leaderless_in(found)
    return {partition: bounds(consumer, topic, partition) for partition in found.partitions if partition not in leaderless}


def committed_of(consumer: Consumer, url: KafkaUrl) -> list[tuple[TopicPartition, tuple[int, int]]]:
    """What the consumer's group has committed of each partition that has a leader, and the partition's bounds.

    A negative offset is no commit.
    A commit of a deleted topic of that name counts as 0: the group reads this one from its beginning.

    Raises KafkaException, Unavailable.
    """
    every = led_bounds(consumer, url.topic)
    identity = identity_of(AdminClient(url.client), url.topic)
    committed = consumer.committed([TopicPartition(url.topic, partition) for partition in every], timeout=_TIMEOUT_SECONDS)
    for each in committed:
        each.offset = each.offset if is_of(each, identity) else 0
    return [(each, every[each.partition]) for each in committed]
