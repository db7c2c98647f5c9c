"""How much of a topic its retention dropped before a consumer group had read it, seen from outside."""

from devicesync.log.kafka.onlooker import committed_of, onlooker
from devicesync.log.kafka.url import KafkaUrl


def overtaken(url: KafkaUrl, group: str) -> int:
    """So many records, by their offsets, lie between what the group has committed and what the topic still has.

    Raises Unavailable.
    """
    with onlooker(url, group) as consumer:
        found = committed_of(consumer, url)
        return sum(max(low - committed.offset, 0) for committed, (low, _) in found if committed.offset >= 0)
