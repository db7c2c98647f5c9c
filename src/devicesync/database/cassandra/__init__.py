"""Cassandra as the database: database.py over a driver (connect.py), rows.py and schema.py for both drivers."""

from devicesync.database.cassandra.database import CassandraDatabase
from devicesync.database.cassandra.url import CassandraUrl

__all__ = ["CassandraDatabase", "CassandraUrl"]
