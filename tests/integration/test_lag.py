"""How far a consumer group is behind, seen from outside."""

import threading

from devicesync.jobs.shared.patience import Patience
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from devicesync.log.kafka.lag import group_lag, record_count
from tests import servers
from tests.end_to_end.command import until


def test_the_lag_of_a_group() -> None:
    """Records, the age of the oldest in seconds, and whether anybody reads."""
    place = KafkaUrl.parse(f"kafka://127.0.0.1:{servers.kafka().port}/lag")
    create_topics(place, partitions=3)
    until_it_works = Patience(threading.Event()).until_it_works  # a broker that was just started has no leaders yet
    assert until_it_works(lambda: group_lag(place, "lag")) == (0, 0.0, False, 0)
    log = KafkaLog(place, "lag")
    log.append([b"x"] * 100)
    behind = group_lag(place, "lag")
    assert (behind.records, behind.is_read, record_count(place)) == (100, False, 100)
    until(lambda: group_lag(place, "lag").seconds > behind.seconds)
    reader = log.reader("updater")
    read = 0
    while read < 100:
        read += len(reader.poll(100, 0.1))
    assert group_lag(place, "lag")[::2] == (100, True)  # read, but not committed yet
    reader.commit()
    until(lambda: not reader.poll(1, 0.2) and group_lag(place, "lag") == (0, 0.0, True, 0))
    reader.close()
    assert group_lag(place, "lag") == (0, 0.0, False, 0)
