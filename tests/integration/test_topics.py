"""Making topics."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from unittest.mock import Mock

import pytest
from confluent_kafka import OFFSET_END, OFFSET_INVALID, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from devicesync.errors import Unavailable, WrongUse
from devicesync.log.kafka import KafkaUrl, admin
from devicesync.log.kafka.admin import create_topics, differences, prepare_for_restore
from devicesync.log.kafka.bounds import bounds, offsets_at
from devicesync.log.kafka.survey import survey
from tests import servers
from tests.end_to_end.command import until


def test_many_make_it_at_once() -> None:
    """Each finds it missing, and only one makes it: that is nobody's failure."""
    name = servers.unused_name("topics")
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}")
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(create_topics, url, 2) for _ in range(8)]
    for each in made:
        each.result()
    assert len(survey(url).bounds) == 2


def test_a_broker_that_knows_no_limits_of_times_makes_a_topic_to_restore_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka before 3.6 refuses the names of these settings, as ours refuses one that it does not know."""
    monkeypatch.setattr(admin, "_ANY_TIMES", {"message.timestamp.unknown.max.ms": "1"})
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    prepare_for_restore(url, 3, rekey=False)

    def is_known() -> bool:
        with suppress(Unavailable):  # a broker says that it is made, and may not know it yet
            return len(survey(url).bounds) == 3
        return False

    until(is_known)


def test_a_topic_with_more_partitions_than_kafka_makes_is_refused_by_their_number() -> None:
    """An entry of a backup may name any partition up to 99,999."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    with pytest.raises(Unavailable, match="with 100,000 partitions") as refused:
        prepare_for_restore(url, 100_000, rekey=False)
    assert "files of partition 99999" in refused.value.hint


def test_a_topic_refuses_a_record_that_compresses_to_a_few_kilobytes() -> None:
    """Kafka's client unpacks all that one answer of the broker has, before we can count: there some KB could be gigabytes."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    create_topics(url, 1)
    producer = Producer({**url.client, "compression.type": "zstd", "message.max.bytes": 100_000_000})
    for mib, expected in ((2, KafkaError.MSG_SIZE_TOO_LARGE), (0.5, None)):
        answers: list[int | None] = []

        def answered(error: KafkaError | None, _: Message, to: list[int | None] = answers) -> None:
            to.append(error.code() if error else None)

        producer.produce(url.topic, bytes(int(mib * (1 << 20))), on_delivery=answered)
        assert producer.flush(60) == 0
        assert answers == [expected]


def test_a_topic_that_keeps_what_is_compressed_is_told_of() -> None:
    """One that others made, or that a backup was restored into: there whatever a backup has must go back."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    prepare_for_restore(url, 1, rekey=False)
    until(lambda: url.topic in AdminClient(url.client).list_topics(timeout=60).topics)
    create_topics(url, 1)
    (told,) = [told for told in differences(url, 1) if "compression.type" in told]
    assert told.startswith(f"compression.type of {url.topic} is producer, not uncompressed: ")


@pytest.mark.parametrize("drops", ["retention.ms=86400000", "retention.bytes=1000", "cleanup.policy=compact"])
def test_a_topic_that_drops_records_takes_no_backup(drops: str) -> None:
    """They were put there, status 0; and a minute later the broker had dropped all of them."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    name, _, value = drops.partition("=")
    keeps = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    made = NewTopic(url.topic, 1, 1, config=keeps | {name: value})
    client = AdminClient(url.client)  # which has to live until the answer is there
    client.create_topics([made])[url.topic].result(60)
    until(lambda: url.topic in client.list_topics(timeout=10).topics)  # a broker says that it made one before it tells of it
    with pytest.raises(WrongUse, match=f"drops records by its {drops}$"):
        prepare_for_restore(url, 1, rekey=False)


def test_a_topic_that_somebody_makes_just_now_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was missing when the restore looked, and counted as made by it, as it should be."""
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{servers.unused_name('topics')}")
    made = admin._create

    def beside(client: AdminClient, topics: list[NewTopic]) -> bool:
        client.create_topics([NewTopic(url.topic, 1, 1, config={"retention.ms": "86400000"})])[url.topic].result(60)
        return made(client, topics)

    monkeypatch.setattr(admin, "_create", beside)
    with pytest.raises(WrongUse, match=r"drops records by its retention\.ms=86400000$"):
        prepare_for_restore(url, 1, rekey=False)


def test_a_partition_without_a_leader_is_asked_again() -> None:
    """As one that was just made, or whose leader changes. After the time it fails; of another answer it fails at once."""
    not_yet = [KafkaException(KafkaError(code)) for code in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError._UNKNOWN_PARTITION)]
    consumer = Mock(get_watermark_offsets=Mock(side_effect=[*not_yet, (3, 7)]))
    assert bounds(consumer, "t", 0) == (3, 7)
    for code in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        consumer.get_watermark_offsets.side_effect = KafkaException(KafkaError(code))
        with pytest.raises(KafkaException):
            bounds(consumer, "t", 0, timeout_seconds=0.2)


def test_a_partition_whose_leader_does_not_answer_is_not_left_out() -> None:
    """Of several the client gives an offset that is none, and no error. As if it had no records, its last version was not known."""
    answers = [TopicPartition("t", 0, 7), TopicPartition("t", 1, OFFSET_END), TopicPartition("t", 2, OFFSET_INVALID)]
    consumer = Mock(offsets_for_times=Mock(side_effect=[answers[:2], answers]))
    assert offsets_at(consumer, "t", [0, 1], 5) == {0: 7}
    with pytest.raises(KafkaException, match="TIMED_OUT"):
        offsets_at(consumer, "t", [0, 1, 2], 5)
