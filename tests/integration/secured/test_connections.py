"""TLS, users and passwords, and Sentinel, on real servers that demand them."""

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from devstack.servers import Cassandra, Kafka, RedisSentinel

from devicesync.cache.redis import RedisCache
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.cassandra.connect import DriverName
from devicesync.errors import Unavailable, WrongUse
from devicesync.jobs.shared.patience import Patience
from devicesync.law.event import Event
from devicesync.law.state import state_of
from devicesync.log.kafka import KafkaLog, KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests.contract.stores import redis_at
from tests.integration.secured.grants import redis_rules
from tests.law.strategies import BASE_US
from tests.servers import started

DOCS = Path(__file__).parents[3] / "docs"
VALUES = ("IN",) * 10 + ('{"os":"9"}', None, "token", "producer")
STATES = {name: state_of(Event(name, BASE_US, values=VALUES)) for name in ("a", "b", "c")}


def test_redis_over_tls_with_a_user_of_few_rights(secured_redis: int, certificates: Path) -> None:
    """The contract's calls work; doctor's advice, which needs more, is silent; what is wrong is said. The page says the same rules."""
    assert all(" ".join(rule) in (DOCS / "grants.md").read_text() for rule in redis_rules("PASSWORD"))
    where = f"127.0.0.1:{secured_redis}/3?ca={certificates}/ca.pem"  # 2 is that of the jobs with grants
    cache = redis_at(f"rediss://devicesync:redis-secret@{where}")
    cache.check()
    cache.merge(STATES, cache.look(STATES).tickets)
    assert cache.read([*STATES]) == STATES
    assert {name for page in cache.scan() for name in page} == STATES.keys()
    assert cache.advice() == []
    with pytest.raises(Unavailable) as wrong:
        redis_at(f"rediss://devicesync:wrong@{where}").check()
    assert "user and password" in wrong.value.hint
    with pytest.raises(Unavailable):  # the system does not know this authority
        redis_at(f"rediss://devicesync:redis-secret@127.0.0.1:{secured_redis}/3").check()


def test_sentinel_fails_over() -> None:
    """The primary dies; the replica, which has never seen the script, takes over within seconds."""
    servers = started(RedisSentinel)
    cache = redis_at(f"redis+sentinel://127.0.0.1:{servers.port}/{servers.service}/2")
    cache.merge(STATES, cache.look(STATES).tickets)
    _until_replicated(servers.replica.port, cache)
    servers.primary.stop(signal.SIGKILL)
    later = {name: state_of(Event(name, BASE_US + 1, values=VALUES)) for name in STATES}
    assert Patience(threading.Event()).until_it_works(lambda: cache.merge(later)).missing == []
    assert cache.read([*later]) == later
    servers.stop()


def _until_replicated(port: int, cache: RedisCache) -> None:
    replica: Any = redis.Redis(port=port, db=2)
    deadline = time.monotonic() + 120
    while not replica.exists("c"):
        assert time.monotonic() < deadline
        cache.merge(STATES)
        time.sleep(0.1)


@pytest.mark.parametrize("driver", ["cassandra-driver", "acsylla"])
def test_cassandra_over_tls_with_a_password(secured_cassandra: Cassandra, certificates: Path, driver: DriverName) -> None:
    """With either driver; a wrong password and an unknown authority are said."""
    where = f"127.0.0.1:{secured_cassandra.port}/secured?tls=1"
    place = CassandraUrl.parse(f"cassandra://cassandra:cassandra@{where}&ca={certificates}/ca.pem")
    database = Patience(threading.Event()).until_it_works(lambda: CassandraDatabase(place, driver))
    database.create()
    database.merge(STATES)
    assert database.read([*STATES]) == STATES
    database.close()
    for url in (f"cassandra://cassandra:wrong@{where}&ca={certificates}/ca.pem", f"cassandra://cassandra:cassandra@{where}"):
        with pytest.raises(Unavailable):
            CassandraDatabase(CassandraUrl.parse(url), driver)


def test_kafka_over_tls_with_scram(secured_kafka: Kafka, certificates: Path) -> None:
    """Topics, producing and consuming."""
    server = secured_kafka
    where = f"127.0.0.1:{server.port}/secured?tls=1&ca={certificates}/ca.pem"
    place = KafkaUrl.parse(f"kafka://{server.USER}:{server.PASSWORD}@{where}")
    create_topics(place, 2)
    log = KafkaLog(place, "secured")
    log.append([b"{}"], [b"key"])
    reader = log.reader("updater")
    (record,) = reader.poll(10, 20)
    assert (record.value, record.key) == (b"{}", b"key")
    reader.close()
    with pytest.raises(Unavailable):
        create_topics(KafkaUrl.parse(f"kafka://{server.USER}:wrong@{where}"), 2)


@pytest.mark.parametrize("url", ["redis://", "redis://h/x", "redis+sentinel://h:1", "redis://h:1/2?ssl=1", "redis://a:1,b:2/2"])
def test_a_cache_url_that_is_not_understood(url: str) -> None:
    with pytest.raises(WrongUse):
        redis_at(url)
