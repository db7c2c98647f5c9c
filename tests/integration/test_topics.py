"""Making topics."""

from concurrent.futures import ThreadPoolExecutor

from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.survey import survey
from tests import servers


def test_many_make_it_at_once() -> None:
    """Each finds it missing, and only one makes it: that is nobody's failure."""
    name = servers.unused_name("topics")
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/{name}")
    with ThreadPoolExecutor(8) as threads:
        made = [threads.submit(create_topics, url, 2) for _ in range(8)]
    for each in made:
        each.result()
    assert len(survey(url).bounds) == 2
