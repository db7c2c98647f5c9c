"""Cassandra as the database: database.py over a driver (connect.py), rows.py (writes), row_reading.py and schema.py for both."""

# ruff: noqa: E402 - the extra is asked for first

from devicesync.extras import require

require("cassandra")

from devicesync.database.cassandra.database import CassandraDatabase
from devicesync.database.cassandra.url import CassandraUrl

__all__ = ["CassandraDatabase", "CassandraUrl"]
