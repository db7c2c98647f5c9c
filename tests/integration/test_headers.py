"""What any producer may put into a record's headers ends nobody who reads the topic."""

from contextlib import closing

from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.port import Reader, Record
from tests import servers
from tests.end_to_end.command import until
from tests.integration import raw_header

BEFORE = 200
"""So many good records come first: Python calls the client in another way once it has called it often."""


def test_a_header_s_name_that_is_not_utf_8_ends_no_updater() -> None:
    """Nor a look at the newest records: they are had without their headers, and the others with theirs."""
    place = f"127.0.0.1:{servers.kafka().port}/{servers.unused_name('headers')}"
    topic = KafkaUrl.parse(f"kafka://{place}")
    create_topics(topic, partitions=1)
    with closing(KafkaLog(topic, topic.topic)) as log, closing(log.reader("updater")) as reader:
        reader.reads_headers = True
        log.append([b"good"] * BEFORE)
        for name in (b"first", b"\xff\xfe", b"\xff", "naïve".encode()):
            raw_header.produce(topic.servers, topic.topic, 0, b"any", name)
        log.append([b"good"])
        headers = [[("first", b"1")], None, None, [("naïve", b"1")], None]
        assert [record.headers for record in polled(reader, BEFORE + 5)[BEFORE:]] == headers
        reader.commit()
        assert [record.headers for record in log.newest(5)] == headers


def polled(reader: Reader, count: int) -> list[Record]:
    """The next records."""
    found: list[Record] = []

    def more() -> bool:
        found.extend(reader.poll(100, 0.2))
        return len(found) >= count

    until(more)
    return found
