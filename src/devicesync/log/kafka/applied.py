"""Whether a consumer group has applied a topic to another store than this one, seen from outside."""

from devicesync.log.kafka.identity import is_of_another
from devicesync.log.kafka.onlooker import committed_of, onlooker
from devicesync.log.kafka.reach import reach
from devicesync.log.kafka.url import KafkaUrl


def is_applied_to_another(url: KafkaUrl, group: str, store: str) -> bool:
    """Whether some commit of the group names another store than the one with this identity. Raises Unavailable."""
    reach(url)
    with onlooker(url, group) as consumer:
        return any(is_of_another(committed, store) for committed, _ in committed_of(consumer, url))
