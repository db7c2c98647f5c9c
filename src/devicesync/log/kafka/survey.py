"""Looking at a topic without being a reader of it."""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.errors import Unavailable
from devicesync.log.full import FullRecord, Survey
from devicesync.log.kafka.bounds import bounds, offsets_at
from devicesync.log.kafka.full import for_a_backup
from devicesync.log.kafka.headers import headers_of
from devicesync.log.kafka.identity import identity_of
from devicesync.log.kafka.onlooker import all_bounds, led_bounds, onlooker
from devicesync.log.kafka.records import records_of
from devicesync.log.kafka.taken import Bound, taken
from devicesync.log.kafka.unpacked import passed_over
from devicesync.log.kafka.url import HINT, KafkaUrl
from devicesync.log.port import Record

_TIMEOUT_SECONDS = 10.0
_ROWS = 2000


def survey(url: KafkaUrl) -> Survey:
    """See full.FullLog."""
    with onlooker(url) as consumer:
        found = consumer.list_topics(url.topic, timeout=_TIMEOUT_SECONDS).topics[url.topic]
        if found.error is not None:
            raise KafkaException(found.error)
        return Survey(identity_of(AdminClient(url.client), url.topic), all_bounds(consumer, url.topic))


def records(url: KafkaUrl, partition: int, start: int, end: int) -> Iterator[list[FullRecord]]:
    """See full.FullLog."""
    with onlooker(url) as consumer:
        consumer.assign([TopicPartition(url.topic, partition, start)])
        last = min(end, bounds(consumer, url.topic, partition)[1])
        while _position(consumer, start) < last:
            found = _some(consumer)
            messages = [message for message in found if message.error() is None]
            yield [record for record in for_a_backup(url.topic, messages).get(partition, []) if start <= record[0] < end]
            if any(end >= last for _, end in _ends(consumer, found)):
                return  # what is left are markers of transactions


def newest(url: KafkaUrl, count: int) -> Iterator[Record]:
    """See port.Log; nothing of a topic that is not there, and of partitions without a leader."""
    with onlooker(url) as consumer:
        yield from _last(consumer, url.topic, led_bounds(consumer, url.topic), count)


def taken_since(url: KafkaUrl, ms: int, count: int, seen: Mapping[int, int], but: Collection[int]) -> Iterator[Record]:
    """See port.Log; nothing of a topic that is not there."""
    with onlooker(url, isolation="read_uncommitted") as consumer:
        partitions = consumer.list_topics(url.topic, timeout=_TIMEOUT_SECONDS).topics[url.topic].partitions
        ends = offsets_at(consumer, url.topic, [each for each in partitions if each not in but], OFFSET_END)
        firsts = offsets_at(consumer, url.topic, ends, ms)
        for partition, offset in seen.items():
            if partition in firsts and offset < ends[partition]:  # else the topic was made anew
                firsts[partition] = max(firsts[partition], offset)
        yield from _last(consumer, url.topic, {partition: (first, ends[partition]) for partition, first in firsts.items()}, count)


def _last(consumer: Consumer, topic: str, spans: Mapping[int, tuple[int, int]], count: int) -> Iterator[Record]:
    """The last `count` records of these offsets [first, end) of each partition, equally many of each."""
    spans = {partition: (first, end) for partition, (first, end) in spans.items() if end > first}
    share = max(count // max(len(spans), 1), 1)
    consumer.assign([TopicPartition(topic, partition, max(first, end - share)) for partition, (first, end) in spans.items()])
    yield from _read_to(consumer, {partition: end for partition, (_, end) in spans.items()})


def _read_to(consumer: Consumer, ends: dict[int, int]) -> Iterator[Record]:
    """What the consumer reads until each partition is at its end (the offset that its next record had)."""
    while ends:
        found = _some(consumer)
        good = [message for message in found if message.error() is None]
        reached = {int(message.partition() or 0): int(message.offset() or 0) + 1 for message in good}
        for partition, end in _ends(consumer, found):  # past the last record where markers of transactions follow it
            reached[partition] = max(reached.get(partition, 0), end)
        yield from records_of(good, headers_of(good))
        ends = {partition: end for partition, end in ends.items() if reached.get(partition, 0) < end}


def _ends(consumer: Consumer, found: list[Message]) -> Iterator[tuple[int, int]]:
    """Partitions that were read to an end as these messages say, and that end: maybe a former one. Raises KafkaException."""
    for message in found:
        error = message.error()
        if error is not None and not passed_over(consumer, message):
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes have this name
                raise KafkaException(error)
            yield int(message.partition() or 0), int(message.offset() or 0)


def _some(consumer: Consumer) -> list[Message]:
    """The next messages, and at least one. Raises Unavailable where none comes in time."""
    found = consumer.consume(1, _TIMEOUT_SECONDS)
    if not found:
        raise Unavailable("can't read from Kafka: time-out", HINT)
    return [*found, *chain.from_iterable(taken(consumer, _ROWS, Bound()))]


def _position(consumer: Consumer, start: int) -> int:
    (position,) = consumer.position(consumer.assignment())
    return position.offset if position.offset >= 0 else start
