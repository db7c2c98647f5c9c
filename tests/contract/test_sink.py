"""What every sink does (log/full.py): records come back as they were."""

from contextlib import closing
from pathlib import Path

import pytest

from devicesync.errors import WrongUse
from devicesync.log.full import FullRecord
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.sink import KafkaSink
from tests import servers
from tests.end_to_end.command import until

PARTITIONS = 3
RECORDS: list[FullRecord] = [
    (7, 1_566_383_863_167, b"key", b"\x00\xff", [("name", b"value"), ("name", None)]),
    (9, 1_566_383_863_000, None, b"earlier, and after a gap", None),
    (10, 1_566_383_863_168, b"key", None, None),
]


@pytest.fixture
def url(tmp_path: Path) -> KafkaUrl:
    return KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/sink-{tmp_path.name}")


def there(url: KafkaUrl, partition: int) -> list[FullRecord]:
    """The topic's records of one partition."""
    with closing(KafkaLog(url, group="unused")) as log:
        _, end = log.survey().bounds[partition]
        return [record for records in log.records(partition, 0, end) for record in records]


def test_records_keep_everything_but_their_offset(url: KafkaUrl) -> None:
    """Their partition, order, time, key, bytes and headers. A repeated call writes them again."""
    with closing(KafkaSink(url, PARTITIONS, rekey=False)) as sink:
        sink.put(1, RECORDS)
        sink.put(1, RECORDS[:1])
    assert [record[1:] for record in there(url, 1)] == [record[1:] for record in [*RECORDS, RECORDS[0]]]
    assert there(url, 0) == there(url, 2) == []


def test_rekeyed_records_go_by_their_keys(url: KafkaUrl) -> None:
    """Those of one key share a partition, whichever they came from."""
    with closing(KafkaSink(url, PARTITIONS, rekey=True)) as sink:
        sink.put(0, RECORDS[::2])
        sink.put(2, RECORDS[::2])
    counts = [len(there(url, partition)) for partition in range(PARTITIONS)]
    assert sorted(counts) == [0, 0, 4]


def test_a_topic_that_would_stamp_the_records_anew_is_refused(url: KafkaUrl) -> None:
    """Versions are guarded by the records' own times. A broker may tell the settings of a new topic a moment later."""
    create_topics(url, PARTITIONS)

    def is_refused() -> bool:
        try:
            KafkaSink(url, PARTITIONS, rekey=False).close()
        except WrongUse as refused:
            return "versions are guarded by the records' own" in str(refused)
        return False

    until(is_refused)
