"""How much of a topic its retention dropped before a consumer group had read it, seen from outside."""

from devicesync.log.gone import Gone
from devicesync.log.kafka.onlooker import committed_of, onlooker
from devicesync.log.kafka.url import KafkaUrl


def overtaken(url: KafkaUrl, group: str) -> Gone:
    """What is gone, and the group may not have read. Raises Unavailable."""
    with onlooker(url, group) as consumer:
        found = [(committed.offset, low) for committed, (low, _) in committed_of(consumer, url)]
    return Gone(
        sum(max(low - offset, 0) for offset, low in found if offset >= 0),
        sum(low for offset, low in found if offset < 0),
    )
