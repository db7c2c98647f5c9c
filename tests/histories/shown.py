"""What readers see, compared with the law: the hash as HGETALL gives it, the row as CQL gives it."""

from typing import Any

import msgspec

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_scripts import HASH_NAMES
from devicesync.database.cassandra import CassandraDatabase
from devicesync.law.facets import FIELDS, MAP_FIELDS
from devicesync.law.maps import entries_of

_TIMES = {"first_access": "firstaccess", "user_declared_on": "user_declared_on", "api_last_updated_on": "api_last_updated_on"}
_COLUMNS = ("device_id", "updated_date", *_TIMES, *FIELDS)
_SELECT = ", ".join(f"toUnixTimestamp({name})" if name in (*_TIMES, "updated_date") else name for name in _COLUMNS)


def wanted_hash(wanted: dict[str, Any]) -> dict[str, Any]:
    """The hash of a device of which the law says this; names that start with `_` left out."""
    shown = {"version": str(wanted["version"])}
    for name, value in (wanted["profile"] or {}).items():
        shown[_TIMES.get(name) or HASH_NAMES.get(name, name)] = str(value) if name in _TIMES else value
    return shown


def hashes(cache: RedisCache, names: list[str]) -> dict[str, dict[str, Any]]:
    """By device its hash, maps read; names that start with `_` left out. Devices not held are left out."""
    found = {}
    for client, groups in cache._connections.shards(names, 1000):
        for name in (name for group in groups for name in group):
            hash_ = {field: text for field, text in client.hgetall(name).items() if field[0] != "_"}
            for field in ("devicespec", "uaspec"):
                if field in hash_:
                    hash_[field] = msgspec.json.decode(hash_[field])
            if hash_:
                found[name] = hash_
    return found


def wanted_row(wanted: dict[str, Any]) -> dict[str, Any]:
    """The row of a device of which the law says this; columns without a value left out."""
    return {**wanted["profile"], "updated_date": wanted["version"] // 1000} if wanted["profile"] else {}


def rows(database: CassandraDatabase, names: list[str]) -> dict[str, dict[str, Any]]:
    """By device its row, without empty columns."""
    quoted = ", ".join(f"'{name}'" for name in names)
    found = {}
    for name, *values in database._driver.query(
        f"SELECT {_SELECT} FROM {database._url.keyspace}.device_profile WHERE device_id IN ({quoted})"
    ):
        row = dict(zip(_COLUMNS[1:], values, strict=True))
        shown = {column: _entries(value) if column in MAP_FIELDS and value else value for column, value in row.items()}
        found[name] = {column: value for column, value in shown.items() if value not in (None, "", {})}
    return found


def _entries(value: Any) -> dict[str, str]:
    """A map as rows have it (driver.Rows)."""
    return entries_of(value) if isinstance(value, str) else dict(value)
