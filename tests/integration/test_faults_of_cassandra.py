"""Cassandra goes away. Each ends by comparing every device in Redis and Cassandra with the set-based law."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests import servers
from tests.integration.real import Real, finish


@pytest.fixture
def real() -> Iterator[Real]:
    """Empty stores and an empty topic; the Cassandra is one that nobody else needs."""
    system = Real(cassandra=servers.own_cassandra())
    yield system
    system.close()


def test_cassandra_stopped_and_back(real: Real) -> None:
    """Ten seconds without the database: nothing is committed meanwhile, nothing is lost."""
    real.start_updater()
    loading = real.load()
    time.sleep(1.5)
    real.cassandra.stop()
    time.sleep(10)
    real.cassandra.start()
    loading.join()
    finish(real)


@pytest.mark.parametrize("driver", ["acsylla", "cassandra-driver"])
def test_cassandra_killed_and_redis_restarted_empty_in_mid_stream(real: Real, driver: str) -> None:
    """Connections are reset while answers are awaited; no wait is without end, and the updaters come back.

    One node that is killed may lose the last 100 ms of what it acknowledged (its commit log's markers). The log has it all: read
    once more from its start, after the cache was flushed, it brings that back.
    """
    updaters = [real.start_updater(driver=driver) for _ in range(2)]
    loading = real.load()
    time.sleep(2)
    real.cassandra.stop(signal.SIGKILL)
    time.sleep(3)
    real.redis.stop(signal.SIGKILL)
    real.redis.start()
    real.cassandra.start()
    loading.join()
    real.wait_until_caught_up()
    assert [updater.poll() for updater in updaters] == [None, None]
    assert real.stop_updaters() == [0, 0]
    real.open_cache()._connections.client.flushall()  # type: ignore[attr-defined]
    real.start_updater(group=f"{real.group}-again", driver=driver)
    real.wait_until_caught_up(f"{real.group}-again")
    finish(real)
