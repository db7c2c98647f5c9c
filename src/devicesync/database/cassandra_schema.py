"""The Cassandra tables (design.md section 3), and the statements over them.

Every value is bound. Columns of other jobs (last_access, total_ts, total_launches, avg_ts) are created where there is no
table, and never written.
"""

from devicesync.law.facets import FIELDS, MAP_FIELDS

TABLE = """
    CREATE TABLE IF NOT EXISTS device_profile (
        device_id text PRIMARY KEY, first_access timestamp, last_access timestamp, total_ts double, total_launches bigint,
        avg_ts double, device_spec map<text, text>, uaspec map<text, text>, updated_date timestamp,
        api_last_updated_on timestamp, state text, state_code text, country text, country_code text, state_custom text,
        state_code_custom text, district_custom text, city text, fcm_token text, producer_id text,
        user_declared_state text, user_declared_district text, user_declared_on timestamp
    )
"""
ERASURES = "CREATE TABLE IF NOT EXISTS device_erasure (device_id text PRIMARY KEY, version bigint)"

WRITTEN_COLUMNS = ("device_id", "api_last_updated_on", "updated_date", *FIELDS)
COLUMNS = (*WRITTEN_COLUMNS, "first_access", "user_declared_on")

_times = [f"MAXWRITETIME({field})" if field in MAP_FIELDS else f"WRITETIME({field})" for field in FIELDS]

WRITE = (
    f"INSERT INTO device_profile ({', '.join(WRITTEN_COLUMNS)}) VALUES ({', '.join('?' * len(WRITTEN_COLUMNS))})"
    " USING TIMESTAMP ?"
)
# UPDATE, not INSERT: a stamp that lies far ahead must not keep an erased row alive.
FIRST_ACCESS = "UPDATE device_profile USING TIMESTAMP ? SET first_access = ? WHERE device_id = ?"
USER_DECLARED_ON = "UPDATE device_profile USING TIMESTAMP ? SET user_declared_on = ? WHERE device_id = ?"
ERASE = "DELETE FROM device_profile USING TIMESTAMP ? WHERE device_id = ?"
REMEMBER_ERASE = "INSERT INTO device_erasure (device_id, version) VALUES (?, ?) USING TIMESTAMP ?"
READ = (
    f"SELECT device_id, api_last_updated_on, first_access, user_declared_on, WRITETIME(api_last_updated_on), {', '.join(FIELDS)},"
    f" {', '.join(_times)} FROM device_profile WHERE device_id IN ?"
)
READ_ERASE = "SELECT device_id, version FROM device_erasure WHERE device_id IN ?"


def keyspace(name: str, data_centre: str, replicas: int) -> str:
    """The statement that makes the keyspace where there is none. `name` was checked to be a plain identifier."""
    return (
        f"CREATE KEYSPACE IF NOT EXISTS {name} WITH replication ="
        f" {{'class': 'NetworkTopologyStrategy', '{data_centre}': {replicas}}}"
    )
