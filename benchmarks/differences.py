"""Devices of which cache and database are made to differ: in every way that docs/audit.md names, and by other programs."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from real_servers import Servers

from devicesync.assembly.opening import open_cache, open_database
from devicesync.database.cassandra.connect import connect
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event, decode
from devicesync.simulation import key_of
from devicesync.stores import Stores

WAYS = 10


class Planted:
    """`each` devices of every way, the last ones of the simulation. kinds: what an audit must say of each."""

    def __init__(self, up: Servers, keyspace: str, devices: int, each: int) -> None:
        self._up = up
        self._each = each
        self._keyspace = keyspace
        self._numbers = iter(range(devices - WAYS * each, devices))
        self._url = f"cassandra://127.0.0.1:{up.database.port}/{keyspace}"
        self._client: Any = redis.Redis(port=up.cache.port, db=2)
        self.kinds: dict[str, str] = {}

    def plant(self) -> None:
        """Everything. Nothing else may write these devices meanwhile."""
        stores = Stores(open_cache(f"redis://127.0.0.1:{self._up.cache.port}/2"), open_database(self._url))
        driver = connect(CassandraUrl.parse(self._url), "auto")
        self._in_redis(self._client)
        self._in_cassandra(driver.query, f"{self._keyspace}.device_profile")
        self._in_one_store(stores)
        driver.close()
        stores.close()

    def _in_redis(self, client: Any) -> None:
        """What other programs do, and what an eviction does."""
        for name in self._take("missing_in_cache"):
            client.delete(name)
        for name in self._take("missing_in_cache"):  # the old telemetry job's blanks, in hashes without a state, to expire
            client.delete(name)
            client.hset(name, mapping={"state": "", "district": ""})
            client.expire(name, 86_400)
        for name in self._take("missing_in_cache"):
            client.hset(name, mapping={"uaspec": "{'agent'"})
        for name in self._take("stale_in_cache"):
            client.hset(name, mapping={"version": 1_600_000_000_000_000, "city": "Old"})
        for name in self._take("content_differs"):
            client.hset(name, mapping={"city": "Nowhere"})
        for name in self._take("expiring"):
            client.expire(name, 86_400)

    def _in_cassandra(self, query: Callable[[str], Any], table: str) -> None:
        """What somebody types into cqlsh."""
        for name in self._take("missing_in_database"):
            query(f"DELETE FROM {table} WHERE device_id = '{name}'")
        for name in self._take("content_differs"):
            query(f"UPDATE {table} SET city = 'Elsewhere' WHERE device_id = '{name}'")

    def _in_one_store(self, stores: Stores) -> None:
        """What came to the cache alone; and a device that was erased and shows in the cache."""
        now_us = time.time_ns() // 1000
        for name in self._take("stale_in_database"):
            stores.cache.merge(self._states(name, b'"city":"Delhi"', now_us))
        for name in self._take("resurrected"):
            stores.write(join_events([Event(name, now_us, erase=True)]))
            self._client.hset(name, mapping={"city": "Pune", "api_last_updated_on": "1700000000000"})

    def _take(self, kind: str) -> Iterator[str]:
        for _ in range(self._each):
            name = key_of(self._up.simulation.record(0, next(self._numbers))).decode()
            self.kinds[name] = kind
            yield name

    def _states(self, name: str, field: bytes, version: int) -> Any:
        line = b'{"device_id":"%s",%s,"version":%d}' % (name.encode(), field, version)
        return join_events([decode(line, taken_ms=version // 1000)])
