"""What a consumer of ours asks of Kafka's client."""

from typing import Any

from devicesync.log.kafka.url import KafkaUrl

_FETCH_BYTES = 2 << 20
_QUEUE_KIB = 4096
"""What is fetched ahead. At the client's own defaults one answer of a broker with many partitions has 50 MB, and the queue 64."""
_IDLE_MS = 100  # So long the broker keeps an answer that would be empty, for each costs it time; a record goes at once.


def consumer_settings(url: KafkaUrl, group: str) -> dict[str, Any]:
    """The settings of a member of this group. It commits itself."""
    return {
        **url.client,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 30_000,  # so soon a topic's new partitions are seen
        "fetch.wait.max.ms": _IDLE_MS,
        "fetch.queue.backoff.ms": 5,
        "fetch.max.bytes": _FETCH_BYTES,
        "queued.max.messages.kbytes": _QUEUE_KIB,
    }
