"""The real stores of a history: Redis and Cassandra, with a way around the gates."""

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from devicesync.database.cassandra import CassandraDatabase, CassandraUrl, sending
from devicesync.database.cassandra.connect import DriverName
from devicesync.law.event import Event
from devicesync.law.facets import DECLARED, FIELDS, MAP_FIELDS, SLICES
from devicesync.stores import Stores
from tests.contract.stores import redis_at
from tests.histories import shown
from tests.histories.history import LOOKS_LIKE_OURS_US
from tests.histories.world import GatedCache, GatedDriver
from tests.law.strategies import BASE_US

_MS = {"first_access", "user_declared_on", "api_last_updated_on", "updated_date"}
_keyspaces = itertools.count()


class RealWorld:
    """A keyspace of its own. `cache` and `database` are gated."""

    def __init__(self, cache_url: str, cassandra_port: int, driver: DriverName = "acsylla") -> None:
        sending._REPEAT_SECONDS = 0.0  # a refused call needs no pause here
        place = CassandraUrl.parse(f"cassandra://127.0.0.1:{cassandra_port}/histories_{uuid.uuid4().hex[:8]}")
        self._cache = redis_at(cache_url)
        self._database = CassandraDatabase(place, driver)
        self._database.create()
        self.cache = GatedCache(self._cache)
        self.database = CassandraDatabase(place, driver)
        self.database._driver = GatedDriver(self.database._driver)

    def lose(self, names: list[str]) -> None:
        """The cache evicts these."""
        self._cache.forget(names)

    def write_old(self, name: str, event: Event) -> None:
        """A row as another job writes it: the fields that have a value, under the wall clock; no deletions, no stamps."""
        values: dict[str, Any] = {
            field: msgspec.json.decode(text) if field in MAP_FIELDS else text
            for field, text in zip(FIELDS, event.values, strict=True)
            if text
        }
        updated_on = event.api_last_updated_on
        early_ms = 0 if (event.version - BASE_US) % 700 == LOOKS_LIKE_OURS_US else 1
        values |= {
            "updated_date": event.version // 1000 - early_ms,
            "api_last_updated_on": updated_on,
            "first_access": event.first_access,
        }
        if any(event.values[SLICES[DECLARED]]):
            values["user_declared_on"] = min(updated_on or event.version // 1000, event.version // 1000)
        values = {column: value for column, value in values.items() if value}
        columns = ["device_id", *values]
        parts = [f"'{name}'", *(_literal(column, value) for column, value in values.items())]
        self._database._driver.query(
            f"INSERT INTO {self._database._url.keyspace}.device_profile ({', '.join(columns)}) "
            f"VALUES ({', '.join(parts)}) USING TIMESTAMP {event.version}"
        )

    def shown(self, name: str, wanted: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
        """Where readers look, what they find there (None: no entry), and what they should find."""
        found = shown.hashes(self._cache, [name]).get(name)
        yield "hash", found, shown.wanted_hash(wanted)
        yield "row", shown.rows(self._database, [name]).get(name, {}), shown.wanted_row(wanted)
        if found is None:
            Stores(self._cache, self._database).read(name)
            yield "hash when filled", shown.hashes(self._cache, [name]).get(name, {}), shown.wanted_hash(wanted)

    def close(self) -> None:
        """Give back connections."""
        self._database.close()
        self._cache.close()


def _literal(column: str, value: Any) -> str:
    if column in MAP_FIELDS:
        return "{" + ", ".join(f"'{key}': '{text}'" for key, text in value.items()) + "}"
    return str(value) if column in _MS else f"'{value}'"
