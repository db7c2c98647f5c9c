"""The Cassandra tables (design.md section 3), and the statements over them.

Every value is bound. Columns of other jobs (last_access, total_ts, total_launches, avg_ts) are created where there is no
table, and never written. Times go in and out as numbers of ms: what a driver makes of a timestamp depends on the driver,
on the machine's time zone, and ends with the year 9999.
"""

from functools import cache

from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS

_TABLE = """
    CREATE TABLE IF NOT EXISTS {keyspace}.device_profile (
        device_id text PRIMARY KEY, first_access timestamp, last_access timestamp, total_ts double, total_launches bigint,
        avg_ts double, device_spec map<text, text>, uaspec map<text, text>, updated_date timestamp,
        api_last_updated_on timestamp, state text, state_code text, country text, country_code text, state_custom text,
        state_code_custom text, district_custom text, city text, fcm_token text, producer_id text,
        user_declared_state text, user_declared_district text, user_declared_on timestamp
    )
"""
_ERASURES = "CREATE TABLE IF NOT EXISTS {keyspace}.device_erasure (device_id text PRIMARY KEY, version bigint)"
_KEYSPACE = (
    "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{centre}': {replicas}}}"
)

EXPECTED = {
    "device_profile": (
        "device_id", "api_last_updated_on", "updated_date", *FIELDS, "first_access", "user_declared_on",
    ),
    "device_erasure": ("device_id", "version"),
}  # fmt: skip
"""The columns that we use, by table."""

HERE, ELSEWHERE = (f"SELECT data_center FROM system.{table}" for table in ("local", "peers"))

_MS = "blobAsTimestamp(bigintAsBlob(?))"
_times = [f"MAXWRITETIME({field})" if field in MAP_FIELDS else f"WRITETIME({field})" for field in FIELDS]
_read_times = [f"toUnixTimestamp({column})" for column in ("api_last_updated_on", "first_access", "user_declared_on")]
# Templates: {keyspace} is put in when a statement is prepared. A keyspace's name was checked to be a plain identifier.
# UPDATE, not INSERT: a stamp that lies far ahead must not keep an erased row alive.
FIRST_ACCESS = f"UPDATE {{keyspace}}.device_profile USING TIMESTAMP ? SET first_access = {_MS} WHERE device_id = ?"
USER_DECLARED_ON = f"UPDATE {{keyspace}}.device_profile USING TIMESTAMP ? SET user_declared_on = {_MS} WHERE device_id = ?"
ERASE = "DELETE FROM {keyspace}.device_profile USING TIMESTAMP ? WHERE device_id = ?"
REMEMBER_ERASE = "INSERT INTO {keyspace}.device_erasure (device_id, version) VALUES (?, ?) USING TIMESTAMP ?"
_row = f"{', '.join(_read_times)}, WRITETIME(api_last_updated_on), {', '.join(FIELDS)}, {', '.join(_times)}"
READ = f"SELECT device_id, {_row} FROM {{keyspace}}.device_profile WHERE device_id IN ?"
READ_ERASE = "SELECT device_id, version FROM {keyspace}.device_erasure WHERE device_id IN ?"

_range = "WHERE token(device_id) >= ? AND token(device_id) <= ? LIMIT ?"
SCAN = f"SELECT token(device_id), device_id, {_row} FROM {{keyspace}}.device_profile {_range}"
SCAN_ERASED = f"SELECT token(device_id), device_id FROM {{keyspace}}.device_erasure {_range}"


@cache
def write(facets: int, *, is_live: bool) -> str:
    """Binds device_id, the fields of these facets (bit n: facets.FACETS[n]), with is_live the two times, and a timestamp.

    Columns of other facets are not named, so they stay as they are: a null would be a delete.
    """
    columns = ["device_id", *(field for spot, facet in enumerate(FACETS) if facets >> spot & 1 for field in facet.fields)]
    marks = ["?"] * len(columns)
    if is_live:
        columns += ["api_last_updated_on", "updated_date"]
        marks += [_MS, _MS]
    return f"INSERT INTO {{keyspace}}.device_profile ({', '.join(columns)}) VALUES ({', '.join(marks)}) USING TIMESTAMP ?"


def creation(keyspace: str, data_centre: str, replicas: int) -> list[str]:
    """The statements that make what is not there yet."""
    return [text.format(keyspace=keyspace, centre=data_centre, replicas=replicas) for text in (_KEYSPACE, _TABLE, _ERASURES)]


def columns_of(keyspace: str, table: str) -> str:
    """A query for the names of the table's columns."""
    return f"SELECT column_name FROM system_schema.columns WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
