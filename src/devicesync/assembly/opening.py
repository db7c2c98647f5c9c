"""From a URL to the log, the cache or the database that it names. Only what is used is loaded."""

# ruff: noqa: PLC0415

import re
from typing import TYPE_CHECKING

from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.extras import require
from devicesync.url import file_of, masked_wrong

if TYPE_CHECKING:
    from devicesync.cache.port import Cache
    from devicesync.database.cassandra.connect import DriverName
    from devicesync.database.port import Database
    from devicesync.log.full import FullLog

LOGS = ("journal:PATH", "kafka://HOST:PORT/TOPIC")
DATABASES = ("sqlite:PATH", "cassandra://HOST:PORT/KEYSPACE")
CACHES = (
    "memory:",
    "memory:?max_devices=N",
    "redis://HOST:PORT/DB",
    "redis+cluster://HOST:PORT",
    "redis+sentinel://HOST:PORT/SERVICE/DB",
)
_DEFAULT = Settings()
_SIZE = re.compile("[0-9]{1,15}")


def open_log(
    url: str,
    *,
    group: str = _DEFAULT.group,
    segment_bytes: int = _DEFAULT.journal_segment_bytes,
    retention_seconds: float = _DEFAULT.journal_retention_seconds,
) -> "FullLog":
    """The log at `journal:PATH` or `kafka://HOST:PORT/TOPIC`. Nothing is made or connected before its first use.

    group: Kafka's consumer group of its readers.
    segment_bytes, retention_seconds: of a journal, when a file of it is closed, and how long it is kept at least.

    Raises WrongUse.
    """
    scheme, rest = split("log", url, LOGS)
    if scheme == "journal":
        from devicesync.log.journal import Journal

        return Journal(file_of(rest), segment_bytes=segment_bytes, retention_seconds=retention_seconds)
    from devicesync.log.kafka import KafkaLog, KafkaUrl

    return KafkaLog(KafkaUrl.parse(url), group)


def open_database(url: str, *, driver: "DriverName" = "auto", read_only: bool = False) -> "Database":
    """The database at `sqlite:PATH`, which is made if need be, or at `cassandra://HOST:PORT/KEYSPACE`, which `init` makes.

    driver: how Cassandra is reached; "auto" takes acsylla where it is installed.
    read_only: SQLite alone: make and change nothing.

    Raises WrongUse, Unavailable.
    """
    scheme, rest = split("database", url, DATABASES)
    if scheme == "sqlite":
        from devicesync.database.sqlite import SqliteDatabase

        return SqliteDatabase(file_of(rest), read_only=read_only)
    from devicesync.database.cassandra import CassandraDatabase, CassandraUrl

    return CassandraDatabase(CassandraUrl.parse(url), driver)


def check_database(url: str) -> None:
    """Raise WrongUse unless the database's URL is understood. Nothing is connected."""
    if split("database", url, DATABASES)[0] == "cassandra":
        from devicesync.database.cassandra.url import CassandraUrl

        CassandraUrl.parse(url)


def open_cache(
    url: str,
    *,
    tombstone_ttl_seconds: float = _DEFAULT.tombstone_ttl_seconds,
    profile_ttl_seconds: float = _DEFAULT.profile_ttl_seconds,
) -> "Cache":
    """The cache at `memory:`, or at `redis://HOST:PORT/DB` and its kinds (docs/reference/settings.md). Nothing is connected yet.

    tombstone_ttl_seconds, profile_ttl_seconds: how long Redis keeps an erased device's tombstone and a profile; 0 for ever.

    Raises WrongUse.
    """
    scheme, rest = split("cache", url, CACHES)
    if scheme == "memory":
        return _memory_cache(url, rest)
    require("redis")
    from devicesync.cache.redis import RedisCache
    from devicesync.cache.redis_connect import connect

    return RedisCache(connect(url), tombstone_ttl_seconds=tombstone_ttl_seconds, profile_ttl_seconds=profile_ttl_seconds)


def split(setting: str, url: str, forms: tuple[str, ...]) -> tuple[str, str]:
    """The URL's scheme and what follows its colon. Raises WrongUse unless it begins as one of the forms does."""
    scheme, colon, rest = url.partition(":")
    known = {form.partition(":")[0]: form for form in forms}
    known |= {"rediss": "", "rediss+cluster": "", "rediss+sentinel": ""} if "redis" in known else {}
    if not colon or scheme not in known or (known[scheme].endswith("PATH") and not rest):
        raise WrongUse(f"{setting} = {masked_wrong(url)!r} is not understood", f"write {' or '.join(forms)}")
    return scheme, rest


def _memory_cache(url: str, rest: str) -> "Cache":
    from devicesync.cache.memory import DEFAULT_MAX_DEVICES, MemoryCache

    option, _, size = rest.partition("=")
    if rest and (option != "?max_devices" or not _SIZE.fullmatch(size)):
        raise WrongUse(f"cache = {url!r} is not understood", "write memory: or memory:?max_devices=N")
    return MemoryCache(int(size or DEFAULT_MAX_DEVICES))
