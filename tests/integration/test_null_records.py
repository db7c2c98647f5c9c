"""A record of Kafka without a value: refused as what it is."""

import time
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests import servers
from tests.end_to_end.command import Devicesync


def test_a_null_record_stays_null_among_the_dead_letters(tmp_path: Path) -> None:
    """In the topic, in `list`, in `show`, and after a replay."""
    devicesync = Devicesync(tmp_path)
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/nulls")
    create_topics(place, partitions=1)
    producer = Producer(place.client)
    producer.produce("nulls", None, b"a-key")
    producer.flush(60)
    devicesync.run("init")
    log = ("--log", f"kafka://{place.servers}/nulls")
    assert devicesync.json("update", "--until-caught-up", *log)["dead_reasons"] == {"malformed_json": 1}
    (letter,) = devicesync.json("dead-letters", "list", *log)["dead_letters"]
    assert (letter["value_base64"], letter["detail"]) == (None, "the record is null: it has no value")
    assert b"null" in devicesync.run("dead-letters", "list", *log).stdout
    assert devicesync.json("dead-letters", "show", letter["id"], *log) == letter
    assert devicesync.json("dead-letters", "replay", *log) == {"tried": 1, "applied": 0, "dead": 1}
    consumer = Consumer({**place.client, "group.id": "looker"})
    consumer.assign([TopicPartition("nulls.failed", 0, 0)])
    deadline = time.monotonic() + 60
    messages: list[Any] = []
    while not messages and time.monotonic() < deadline:
        messages = [message for message in consumer.consume(1, 1) if message.error() is None]
    consumer.close()
    assert [(message.key(), message.value()) for message in messages] == [(b"a-key", None)]
