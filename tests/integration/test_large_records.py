"""Large records that compress to next to nothing: their number bounds no memory."""

from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from devicesync.log.full import HEADERS, OFFSET, FullRecord
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics, prepare_for_restore
from devicesync.log.kafka.sink import KafkaSink
from devicesync.log.kafka.taken import Bound
from tests import servers

COUNT, BYTES = 100, 900_000


@pytest.mark.parametrize("place", ["value", "key"])
def test_a_poll_is_bounded_in_bytes(place: str) -> None:
    """Far fewer come at once than were asked for, and all come. The topic keeps what is compressed, as one of `init` does not."""
    topic = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('large')}")
    prepare_for_restore(topic, 1, rekey=False)
    producer = Producer({**topic.client, "compression.type": "zstd", "message.max.bytes": 1_000_000, "linger.ms": 50})
    for _ in range(COUNT):
        large: Any = {place: b"x" * BYTES}
        producer.produce(topic.topic, **({"value": b"{"} | large))
    assert producer.flush(60) == 0
    polled: list[int] = []
    with closing(KafkaLog(topic, topic.topic)) as log, closing(log.reader("updater")) as reader:
        while sum(polled) < COUNT:
            polled.append(len(reader.poll(2000, 1)))
    assert sum(polled) == COUNT
    assert max(polled) * BYTES < 50 << 20


def test_a_poll_is_bounded_by_its_headers() -> None:
    """Empty ones take some KB on the wire and megabytes here. They count where nobody reads them, too: the client holds them."""
    topic = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('large')}")
    create_topics(topic, partitions=1)
    headers: Any = [("a", b"")] * 60_000
    with closing(KafkaLog(topic, topic.topic)) as log, closing(log.reader("updater")) as reader:
        for number in range(40):  # each for itself: a busy machine may take long for so many headers
            log.append([b"%d" % number], headers=[headers])
        polled: list[list[FullRecord]] = []
        while sum(map(len, polled)) < 40:
            polled += reader.poll_full(2000, 1).values()
        assert [record[OFFSET] for records in polled for record in records] == [*range(40)]
        assert all(record[HEADERS] == headers for records in polled for record in records)
        assert max(map(len, polled)) <= 3


def test_a_poll_is_bounded_by_its_messages() -> None:
    """Millions without a key and a value take few bytes on the wire, whatever `batch_records` says."""
    bound = Bound()
    bound.count([Message(topic="t", partition=0, offset=0)] * 100_000)
    assert bound.is_reached
    assert bound.beyond > 50_000


def test_the_largest_record_of_a_topic_goes_back_into_one() -> None:
    """The client's own limit is lower than Kafka's: a restore would wait for ever, whatever the topic takes."""
    topic = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('large')}")
    with closing(KafkaSink(topic, 1, rekey=False)) as sink:
        sink.put(0, [(0, 1_700_000_000_000, b"k", b"x" * 1_020_000, None)])
    with closing(KafkaLog(topic, topic.topic)) as log:
        assert [len(record.value or b"") for record in log.newest(1)] == [1_020_000]
