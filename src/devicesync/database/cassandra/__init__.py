"""Cassandra as the database: database.py over a driver (connect.py), rows.py (writes), row_reading.py and schema.py for both."""

from devicesync.database.cassandra.database import CassandraDatabase
from devicesync.database.cassandra.url import CassandraUrl

__all__ = ["CassandraDatabase", "CassandraUrl"]
