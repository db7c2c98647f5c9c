"""Which partition a key goes to, and which partitions have a leader.

A partition whose replicas are all away has none: nobody can read or write it, and the others go on. Kafka's metadata says so.
What is asked of such a partition fails in many ways: by a client that never knew its leader at once, as LEADER_NOT_AVAILABLE or
_UNKNOWN_PARTITION; by one that knew it after its whole time-out, as _TIMED_OUT, or with the offset -1001 and no error.
"""

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, TopicMetadata  # type: ignore[attr-defined]

from devicesync.log.port import Partitions

_MASK = 0xFFFFFFFF
_FACTOR = 0x5BD1E995
_SEED = 0x9747B28C


def partitions_of(client: AdminClient | Consumer | Producer, topic: str, timeout_seconds: float) -> Partitions:
    """The topic's partitions now. Raises KafkaException, also where there is no such topic."""
    found = client.list_topics(topic, timeout=timeout_seconds).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return Partitions(len(found.partitions), leaderless_in(found))


def leaderless_in(topic: TopicMetadata) -> frozenset[int]:
    """The partitions that have no leader, by what Kafka told of a topic."""
    return frozenset(each.id for each in topic.partitions.values() if each.leader < 0)


def partition_of(key: bytes, count: int) -> int:
    """The partition that a record with this key goes to, of so many: as Java's clients have it, and our producer."""
    return (_murmur2(key) & 0x7FFFFFFF) % count


def _murmur2(data: bytes) -> int:
    whole = len(data) & ~3
    found = _SEED ^ len(data)
    for spot in range(0, whole, 4):
        word = int.from_bytes(data[spot : spot + 4], "little") * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        found = found * _FACTOR & _MASK ^ word
    if rest := data[whole:]:
        found = (found ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    found = (found ^ found >> 13) * _FACTOR & _MASK
    return found ^ found >> 15
