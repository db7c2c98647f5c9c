"""The adapters that the contract suites run over. A new one joins with one line."""

from collections.abc import Callable
from pathlib import Path

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import Cache
from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import connect
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.database.cassandra.connect import DriverName
from devicesync.database.port import Database
from devicesync.database.sqlite import SqliteDatabase
from tests import servers


def redis_at(url: str) -> RedisCache:
    """A cache on a Redis URL, that forgets nothing by itself."""
    return RedisCache(connect(url), tombstone_ttl_seconds=0, profile_ttl_seconds=0)


def cassandra_at(port: int, driver: DriverName) -> CassandraDatabase:
    """A database on a local Cassandra, its tables made."""
    database = CassandraDatabase(CassandraUrl.parse(f"cassandra://127.0.0.1:{port}/test_device_db"), driver)
    database.create()
    return database


CACHES: dict[str, Callable[[Path], Cache]] = {
    "memory": lambda directory: MemoryCache(),
    "redis": lambda directory: redis_at(f"redis://127.0.0.1:{servers.redis().port}"),
    "redis-cluster": lambda directory: redis_at(f"redis+cluster://127.0.0.1:{servers.redis_cluster().servers[0].port}"),
}
DATABASES: dict[str, Callable[[Path], Database]] = {
    "sqlite": lambda directory: SqliteDatabase(directory / "device-profile.db"),
    "cassandra-driver": lambda directory: cassandra_at(servers.cassandra().port, "cassandra-driver"),
    "acsylla": lambda directory: cassandra_at(servers.cassandra().port, "acsylla"),
    "cassandra-4.1": lambda directory: cassandra_at(servers.cassandra("4.1").port, "acsylla"),
}


def forget(cache: Cache, device_id: str) -> None:
    """Make the cache lose a device, as an eviction does."""
    cache.forget([device_id])
