"""The Cassandra tables (docs/reference/stores.md), and the statements over them.

Every value is bound. Columns of other jobs (last_access, total_ts, total_launches, avg_ts) are created where there is no
table, and never written. Times go in and out as numbers of ms: what a driver makes of a timestamp depends on the driver,
on the machine's time zone, and ends with the year 9999.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from devicesync.law.facets import DECLARED, EMPTIED_BY_TIES, FACETS, FIELDS, MAP_FIELDS, MAPS

_TIED = {spot: FACETS[spot].name for spot in EMPTIED_BY_TIES}
_LONG = {spot: f"long_{FACETS[spot].name}" for spot in MAPS}

COLUMNS = {
    "device_profile": {
        "device_id": "text",
        "api_last_updated_on": "timestamp",
        "updated_date": "timestamp",
        **{field: "map<text, text>" if field in MAP_FIELDS else "text" for field in FIELDS},
        "first_access": "timestamp",
        "user_declared_on": "timestamp",
    },
    "device_erasure": {
        "device_id": "text",
        "version": "bigint",
        "user_declared_on": "timestamp",
        **dict.fromkeys(_TIED.values(), "set<bigint>"),
        **dict.fromkeys(_LONG.values(), "set<text>"),
    },
}
"""The columns that we use, by table, and their types. device_id is the primary key.

The ledger tells beside erases the user_declared_on that hides, the versions at which a tie emptied a facet, and which long maps
(law/maps.py) were written: of several that have one version the row shows a union, and not that they were several.
"""

_OF_OTHERS = {"last_access": "timestamp", "total_ts": "double", "total_launches": "bigint", "avg_ts": "double"}

_KEYSPACE = (
    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{centre}': {replicas}}}"
)

MAP_VERSIONS = {field: f"{field}_version" for field in sorted(MAP_FIELDS)}
"""Columns of our own in device_profile, each a bigint: the versions of the maps, which Cassandra before 5.0 cannot tell."""


class Dialect(NamedTuple):
    """How maps' versions are kept.

    has_columns: device_profile has the columns MAP_VERSIONS, so each write of a map writes its version too.
    reads_columns: versions are read from there, since some server of the ring is older than 5.0.
    """

    has_columns: bool
    reads_columns: bool


HERE, ELSEWHERE = (f"SELECT data_center, release_version FROM system.{table}" for table in ("local", "peers"))

_MS = "blobAsTimestamp(bigintAsBlob(?))"
_TIMES = ("api_last_updated_on", "first_access", "user_declared_on", "updated_date")
# Templates: {keyspace} is put in when a statement is prepared. A keyspace's name was checked to be a plain identifier.
# UPDATE, not INSERT: a stamp that lies far ahead must not keep an erased row alive.
FIRST_ACCESS = f"UPDATE {{keyspace}}.device_profile USING TIMESTAMP ? SET first_access = {_MS} WHERE device_id = ?"
USER_DECLARED_ON = f"UPDATE {{keyspace}}.device_profile USING TIMESTAMP ? SET user_declared_on = {_MS} WHERE device_id = ?"
ERASE = "DELETE FROM {keyspace}.device_profile USING TIMESTAMP ? WHERE device_id = ?"
_MAP_NAMES = {spot: FACETS[spot].fields[0] for spot in MAPS}
EMPTY_MAP = {
    spot: f"DELETE {name} FROM {{keyspace}}.device_profile USING TIMESTAMP ? WHERE device_id = ?"
    for spot, name in _MAP_NAMES.items()
}
"""By map, its place in facets.FACETS. Entries of the very timestamp go too: a null in an INSERT removes only older ones."""
REMEMBER_ERASE = "INSERT INTO {keyspace}.device_erasure (device_id, version) VALUES (?, ?) USING TIMESTAMP ?"
_ties = {spot: f"{name} + ?" if spot == DECLARED else "?" for spot, name in _TIED.items()}
REMEMBER_TIES = {
    spot: f"UPDATE {{keyspace}}.device_erasure USING TIMESTAMP ? SET {name} = {_ties[spot]} WHERE device_id = ?"
    for spot, name in _TIED.items()
}
"""By facet. The newest tie takes the place of older ones; but those of user_declared are counted (stamps.py)."""
FORGET_TIES = f"DELETE {_TIED[DECLARED]} FROM {{keyspace}}.device_erasure USING TIMESTAMP ? WHERE device_id = ?"
"""Of user_declared, those up to the timestamp."""
REMEMBER_LONG = {
    spot: f"UPDATE {{keyspace}}.device_erasure USING TIMESTAMP ? SET {name} = ? WHERE device_id = ?"
    for spot, name in _LONG.items()
}
FORGET_LONG = f"DELETE {', '.join(_LONG.values())} FROM {{keyspace}}.device_erasure USING TIMESTAMP ? WHERE device_id = ?"
HIDDEN_DECLARED_ON = f"UPDATE {{keyspace}}.device_erasure USING TIMESTAMP ? SET user_declared_on = {_MS} WHERE device_id = ?"
READ_ERASURES = (
    f"SELECT device_id, version, toUnixTimestamp(user_declared_on), {', '.join([*_TIED.values(), *_LONG.values()])} "
    "FROM {keyspace}.device_erasure WHERE device_id IN ?"
)

_range = "WHERE token(device_id) >= ? AND token(device_id) <= ? LIMIT ?"
SCANS = tuple(f"SELECT token(device_id), device_id FROM {{keyspace}}.{table} {_range}" for table in COLUMNS)

ERASURES_IN = f"SELECT token(device_id), device_id, version FROM {{keyspace}}.device_erasure {_range}"
_seen = ", ".join(
    [
        "token(device_id)",
        "device_id",
        "WRITETIME(api_last_updated_on)",
        *(f"toUnixTimestamp({time})" for time in _TIMES[:3]),
        *FIELDS,
    ]
)
SEEN = f"SELECT {_seen} FROM {{keyspace}}.device_profile WHERE device_id IN ?"
SEEN_IN = f"SELECT {_seen} FROM {{keyspace}}.device_profile {_range}"
"""What readers of a row see: its token and id, the profile's version, three times in ms, the fields."""


@cache
def read(dialect: Dialect) -> str:
    """Binds ids. Per device: its id, four times in ms and when they were written, the fields, and when those were written."""
    times = [f"toUnixTimestamp({column})" for column in _TIMES] + [f"WRITETIME({column})" for column in _TIMES]
    versions = [_version_of(field, dialect) for field in FIELDS]
    return f"SELECT device_id, {', '.join([*times, *FIELDS, *versions])} FROM {{keyspace}}.device_profile WHERE device_id IN ?"


def _version_of(field: str, dialect: Dialect) -> str:
    if field not in MAP_FIELDS:
        return f"WRITETIME({field})"
    return MAP_VERSIONS[field] if dialect.reads_columns else f"MAXWRITETIME({field})"


@cache
def write(facets: int, dialect: Dialect, *, is_live: bool) -> str:
    """Binds device_id, the fields of these facets (bit n: facets.FACETS[n]), with is_live the two times, and a timestamp.

    A map is followed by its version where the dialect has columns for it. Columns of other facets are not named, so they stay
    as they are: a null would be a delete.
    """
    columns = ["device_id"]
    for spot, facet in enumerate(FACETS):
        if facets >> spot & 1:
            columns += facet.fields
            columns += [MAP_VERSIONS[field] for field in facet.fields if dialect.has_columns and field in MAP_FIELDS]
    marks = ["?"] * len(columns)
    if is_live:
        columns += ["api_last_updated_on", "updated_date"]
        marks += [_MS, _MS]
    return f"INSERT INTO {{keyspace}}.device_profile ({', '.join(columns)}) VALUES ({', '.join(marks)}) USING TIMESTAMP ?"


def keyspace_of(keyspace: str) -> str:
    """A query that finds a row where there is such a keyspace."""
    return f"SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'"


def creation_of_keyspace(keyspace: str, data_centre: str, replicas: int) -> str:
    """The statement that makes the keyspace; it needs the right to make any."""
    return _KEYSPACE.format(keyspace=keyspace, centre=data_centre, replicas=replicas)


def creation(keyspace: str) -> list[str]:
    """The statements that make the tables that are not there yet."""
    others = {"device_profile": _OF_OTHERS}
    return [_table(keyspace, table, columns | others.get(table, {})) for table, columns in COLUMNS.items()]


def _table(keyspace: str, table: str, columns: Mapping[str, str]) -> str:
    declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
    return f"CREATE TABLE IF NOT EXISTS {keyspace}.{table} ({declared}, PRIMARY KEY (device_id))"


def addition(keyspace: str, table: str, column: str, kind: str) -> str:
    """A statement that adds a column."""
    return f"ALTER TABLE {keyspace}.{table} ADD {column} {kind}"


def columns_of(keyspace: str, table: str) -> str:
    """A query for the names of the table's columns."""
    return f"SELECT column_name FROM system_schema.columns WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
