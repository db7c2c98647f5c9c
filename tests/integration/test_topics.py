"""Making topics."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaUrl, admin
from devicesync.log.kafka.admin import create_topics, prepare_for_restore
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
