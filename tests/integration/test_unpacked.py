"""A batch of some KB that has more bytes unpacked than Kafka's client takes.

Whoever can write a topic can send it, where the topic keeps what is compressed, as one does that a backup is restored into.
"""

from contextlib import closing, suppress

import structlog
from confluent_kafka import Producer

from devicesync.errors import Unavailable
from devicesync.log.full import LARGEST_BYTES
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import prepare_for_restore
from tests import servers
from tests.end_to_end.command import until

_OVER_THE_CLIENT_S_BYTES = 101 << 20


def test_a_record_that_is_too_large_for_a_backup_is_left_out_of_it() -> None:
    """The client unpacks it. In a file of a backup it would be refused, and all of the file with it. The updater refuses it alone."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('toolarge')}")
    prepare_for_restore(url, 1, rekey=False)
    producer = Producer({**url.client, "compression.type": "lz4", "message.max.bytes": 1_000_000_000})
    headers = [(f"{number}", b"") for number in range(10)]
    for value, key in ((b"first", None), (bytes(LARGEST_BYTES + 1), None), (b"last", b"k"), (None, bytes(LARGEST_BYTES + 1))):
        producer.produce(url.topic, value, key, headers=headers)  # type: ignore[arg-type]
        assert producer.flush(60) == 0
    producer.produce(
        url.topic, b"wide", headers=[("a" * (LARGEST_BYTES // 4) + "\U0001f600", b"")]
    )  # in Python 4 bytes a character
    assert producer.flush(60) == 0
    with closing(KafkaLog(url, "updater")) as log, structlog.testing.capture_logs() as told:
        assert [record[0] for some in log.records(0, 0, 5) for record in some] == [0, 2]
        assert {line["offset"] for line in told if "too large" in line["event"]} == {1, 3, 4}
        assert [len(record.value or b"") for record in log.newest(10)] == [5, LARGEST_BYTES + 1, 4, 0, 4]
        forwarded: list[int] = []
        with closing(log.reader("enrich")) as reader:  # which makes a dead letter of what it can't use

            def has_all() -> bool:
                forwarded.extend(row[0] for row in reader.poll_full(10, 0.2).get(0, []))
                return len(forwarded) >= 5

            until(has_all)
        assert forwarded == [0, 1, 2, 3, 4]


def test_a_record_that_can_not_be_unpacked_stops_nobody() -> None:
    """It is told and passed over: by readers, by who looks at the newest records, and by a comparison with a backup."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('unpacked')}")
    prepare_for_restore(url, 1, rekey=False)
    producer = Producer({**url.client, "compression.type": "zstd", "message.max.bytes": 1_000_000_000})
    for value in (b"first", bytes(_OVER_THE_CLIENT_S_BYTES), b"last", bytes(_OVER_THE_CLIENT_S_BYTES)):
        producer.produce(url.topic, value)
        assert producer.flush(60) == 0
    found: list[bytes | None] = []
    with closing(KafkaLog(url, "updater")) as log, structlog.testing.capture_logs() as told:
        with closing(log.reader("updater")) as reader:

            def has_caught_up() -> bool:
                with suppress(Unavailable):  # a broker on a busy machine may take longer to answer than we wait
                    found.extend(record.value for record in reader.poll(10, 0.2))
                    reader.commit()
                    return reader.caught_up()
                return False

            until(has_caught_up)
        assert found == [b"first", b"last"]
        assert {line["offset"] for line in told if "can't be unpacked" in line["event"]} == {1, 3}
        assert [record.value for record in log.newest(10)] == [b"first", b"last"]
        assert [record[0] for some in log.records(0, 0, 4) for record in some] == [0, 2]
