"""The adapters that the contract suites run over. A new one joins with one line."""

from collections.abc import Callable
from pathlib import Path

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.database.sqlite import SqliteDatabase

CACHES: dict[str, Callable[[Path], Cache]] = {
    "memory": lambda directory: MemoryCache(),
}
DATABASES: dict[str, Callable[[Path], Database]] = {
    "sqlite": lambda directory: SqliteDatabase(directory / "device-profile.db"),
}
