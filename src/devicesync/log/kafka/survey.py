"""Looking at a topic without being a reader of it."""

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from devicesync.errors import Unavailable
from devicesync.log.kafka.member import bounds
from devicesync.log.kafka.place import HINT, Place, failures
from devicesync.log.kafka.whole import identity_of, rows_of
from devicesync.log.port import Row, Survey

_TIMEOUT_SECONDS = 10.0
_ROWS = 2000


def survey(place: Place) -> Survey:
    """See port.WholeLog."""
    consumer = _consumer(place)
    try:
        with failures("read"):
            found = consumer.list_topics(place.topic, timeout=_TIMEOUT_SECONDS).topics[place.topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return Survey(
                identity_of(AdminClient(place.client), place.topic),
                {partition: bounds(consumer, place.topic, partition) for partition in found.partitions},
            )
    finally:
        consumer.close()


def rows(place: Place, partition: int, start: int, end: int) -> Iterator[list[Row]]:
    """See port.WholeLog."""
    consumer = _consumer(place)
    try:
        with failures("read"):
            consumer.assign([TopicPartition(place.topic, partition, start)])
            last = min(end, bounds(consumer, place.topic, partition)[1])
            while _position(consumer, start) < last:
                found = consumer.consume(1, _TIMEOUT_SECONDS)
                if not found:
                    raise Unavailable("can't read from Kafka: time-out", HINT)
                found += consumer.consume(_ROWS, 0)
                messages = [message for message in found if message.error() is None]
                yield [row for row in rows_of(messages).get(partition, []) if start <= row[0] < end]
                for error in filter(None, map(Message.error, found)):
                    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes have this name
                        return  # what is left are markers of transactions
                    raise KafkaException(error)
    finally:
        consumer.close()


def _consumer(place: Place) -> Consumer:
    return Consumer(
        {
            **place.client,
            "group.id": "devicesync.survey",  # never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 5,
            "enable.partition.eof": True,
        }
    )


def _position(consumer: Consumer, start: int) -> int:
    (place,) = consumer.position(consumer.assignment())
    return place.offset if place.offset >= 0 else start
