"""The topic of dead letters, read from its beginning to its end."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from devicesync.clock import SYSTEM
from devicesync.dead_letters.kafka_known import Place
from devicesync.dead_letters.kafka_record import why_of
from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.bounds import TIMEOUT_SECONDS, bounds
from devicesync.log.kafka.headers import headers_of
from devicesync.log.kafka.taken import Bound, taken
from devicesync.log.kafka.url import HINT

_SILENT_SECONDS = 30.0
_POLLED = 1000
_FETCH_BYTES, _QUEUE_KIB = 2 << 20, 4096
_SETTINGS = {
    "group.id": "devicesync.dead-letters",
    "enable.auto.commit": False,
    "isolation.level": "read_uncommitted",
    "auto.offset.reset": "earliest",  # where what comes next was cut off meanwhile: else the reading goes on at the end
    "fetch.max.bytes": _FETCH_BYTES,
    "queued.max.messages.kbytes": _QUEUE_KIB,
}
Read = tuple[Message, dict[str, str]]
"""A record, and its headers where it is ours; else {}."""


def read(
    url: KafkaUrl, topic: str, check: Callable[[], None], spans: Mapping[int, tuple[int, int]] | None = None
) -> Iterator[Read]:
    """Yield its records, partition by partition. Raises Unavailable.

    Also what lies behind a transaction that somebody left open: ours are part of none. One that was aborted is read too: who
    copies letters in transactions writes the same ones again.
    check: is called with each few records, and while none come. What it raises is raised: so it ends what takes long.
    spans: the partitions to read, each from one offset to another; None for all of all.
    """
    consumer = Consumer({**url.client, **_SETTINGS})
    try:
        for partition in _partitions(consumer, topic) if spans is None else spans:
            place = TopicPartition(topic, partition)
            begin, end = bounds(consumer, topic, partition)
            if spans is not None:
                begin, end = max(begin, spans[partition][0]), min(end, spans[partition][1] + 1)
            if begin < end:
                consumer.assign([TopicPartition(topic, partition, begin)])
                for messages in _until(consumer, place, begin, end, check):
                    yield from zip(messages, map(why_of, headers_of(messages)), strict=True)
    except KafkaException as error:
        raise Unavailable(f"can't read the dead letters in {topic}: {error}", "check that Kafka runs") from error
    finally:
        consumer.close()


def place_of(message: Message) -> Place:
    """Where it lies."""
    return int(message.partition() or 0), int(message.offset() or 0)


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    """The topic's, none where it is not there. Raises KafkaException, also where this user may not see it."""
    found = consumer.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def _until(consumer: Consumer, place: TopicPartition, begin: int, end: int, check: Callable[[], None]) -> Iterator[list[Message]]:
    """What lies from `begin` to `end`, however long that takes; raises Unavailable when nothing comes for a while."""
    deadline = SYSTEM.monotonic() + _SILENT_SECONDS
    position = begin
    while position < end:
        before = position
        for some in chain([consumer.consume(1, 0.2)], taken(consumer, _POLLED, Bound())):
            check()
            messages = [message for message in some if message.error() is None]
            if messages:
                position = place_of(messages[-1])[1] + 1
                yield messages
        (at,) = consumer.position([place])
        position = max(position, at.offset)
        if position == before:  # what was cut off meanwhile is not waited for: the client's position tells nothing of it
            with suppress(KafkaException):  # while no leader answers, it is waited for
                position = max(position, bounds(consumer, place.topic, place.partition)[0])
        if position > before:
            deadline = SYSTEM.monotonic() + _SILENT_SECONDS
        elif SYSTEM.monotonic() > deadline:
            raise Unavailable(f"{place.topic} could be read up to record {position} of {end} only: time-out", HINT)
