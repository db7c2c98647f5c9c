"""The adapters that the contract suites run over. A new one joins with one line.

CONTRACT_REDIS and CONTRACT_CASSANDRA, both URLs, name servers that run already: see test_adding_a_field.py.
"""

import functools
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import Cache
from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import OneServer, connect
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.cassandra.connect import DriverName
from devicesync.database.port import Database
from devicesync.database.sqlite import SqliteDatabase
from devicesync.jobs.shared.patience import Patience
from tests import servers
from tests.simulation.cassandra import Ring, RingDriver
from tests.simulation.redis_client import SimulatedClient
from tests.simulation.redis_server import RedisServer


def redis_at(url: str) -> RedisCache:
    """A cache on a Redis URL, that forgets nothing by itself."""
    return RedisCache(connect(url), tombstone_ttl_seconds=0, profile_ttl_seconds=0)


def cassandra_at(url: str, driver: DriverName) -> CassandraDatabase:
    """A database on a Cassandra, its tables made. A busy machine may let a connection wait for longer than its driver waits."""
    until_it_works = Patience(threading.Event()).until_it_works
    database = until_it_works(lambda: CassandraDatabase(CassandraUrl.parse(url), driver))
    until_it_works(database.create)
    return database


def cassandra_url(release: str = servers.CASSANDRA) -> str:
    """A keyspace on a local node."""
    return os.environ.get("CONTRACT_CASSANDRA") or f"cassandra://127.0.0.1:{servers.cassandra(release).port}/test_device_db"


def redis_url() -> str:
    """A local server."""
    return os.environ.get("CONTRACT_REDIS") or f"redis://127.0.0.1:{servers.redis().port}"


def simulated_cache() -> RedisCache:
    """A cache on a simulated Redis of its own."""
    server = RedisServer(lambda: time.time_ns() // 1_000_000)
    return RedisCache(OneServer(SimulatedClient(server)), tombstone_ttl_seconds=0, profile_ttl_seconds=0)


@functools.cache
def simulated_database(directory: Path, release: str) -> CassandraDatabase:
    """A database on a simulated ring of three, the same for one directory."""
    del directory
    driver = RingDriver(Ring(lambda: int(time.time()), release=release))
    database = CassandraDatabase(CassandraUrl.parse("cassandra://simulated/test_device_db"), driver)
    database.create()
    return database


CACHES: dict[str, Callable[[Path], Cache]] = {
    "memory": lambda directory: MemoryCache(),
    "simulated-redis": lambda directory: simulated_cache(),
    "redis": lambda directory: redis_at(redis_url()),
    "redis-cluster": lambda directory: redis_at(f"redis+cluster://127.0.0.1:{servers.redis_cluster().servers[0].port}"),
}
DATABASES: dict[str, Callable[[Path], Database]] = {
    "sqlite": lambda directory: SqliteDatabase(directory / "device-profile.db"),
    "simulated-cassandra": lambda directory: simulated_database(directory, "5.0.2"),
    "simulated-cassandra-4.1": lambda directory: simulated_database(directory, "4.1.3"),
    "cassandra-driver": lambda directory: cassandra_at(cassandra_url(), "cassandra-driver"),
    "acsylla": lambda directory: cassandra_at(cassandra_url(), "acsylla"),
    "cassandra-4.1": lambda directory: cassandra_at(cassandra_url("4.1"), "acsylla"),
}


def forget(cache: Cache, device_id: str) -> None:
    """Make the cache lose a device, as an eviction does."""
    cache.forget([device_id])
