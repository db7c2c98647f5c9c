"""From settings to adapters; opening.py goes from a URL to one. Only what is used is loaded."""

# ruff: noqa: PLC0415

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from devicesync import data_directory
from devicesync.assembly import named_log, opening
from devicesync.assembly.opening import DATABASES, split
from devicesync.config import Settings
from devicesync.errors import Unavailable, WrongUse
from devicesync.extras import require
from devicesync.url import file_of, masked

if TYPE_CHECKING:
    from devicesync.cache.port import Cache
    from devicesync.database.port import Database
    from devicesync.dead_letters.port import DeadLetters
    from devicesync.log.full import FullLog, Sink, Survey
    from devicesync.log.journal import Journal
    from devicesync.log.kafka.url import KafkaUrl
    from devicesync.stores import Stores


def open_log(settings: Settings) -> "FullLog":
    """The log that `log` names; for a followed log the journal that takes its lines."""
    if not named_log.is_shared(settings):
        return open_journal(settings)
    return opening.open_log(settings.log, group=settings.group)


def open_ship_target(settings: Settings) -> "FullLog":
    """The log that `ship_to` names. Raises WrongUse."""
    return opening.open_log(settings.ship_to, group=settings.group)


def open_sink(settings: Settings, topic: str, partitions: int, *, rekey: bool) -> "Sink":
    """The topic to restore into: a name in the log's Kafka, or a URL. Raises WrongUse, Unavailable."""
    from devicesync.log.kafka.sink import KafkaSink

    return KafkaSink(_url_of_topic(settings, topic), partitions, rekey=rekey)


def survey_topic(settings: Settings, topic: str) -> "Survey":
    """What that topic has. Raises WrongUse, Unavailable, also where it is not there."""
    from devicesync.log.full import DELETED
    from devicesync.log.kafka.survey import survey

    found = survey(_url_of_topic(settings, topic))
    if found.identity == DELETED:
        raise Unavailable(f"{masked(topic)} is not there", "look for the topic in Kafka")
    return found


def open_journal(settings: Settings) -> "Journal":
    """The journal that `log` names, or for a followed log the journal in the data directory that takes its lines.

    It keeps records for `max_clock_ahead_seconds` at least: after a clock went back, the newest ones tell the last version.
    """
    from devicesync.log.journal import Journal

    return Journal(
        named_log.journal_path(settings),
        segment_bytes=settings.journal_segment_bytes,
        segment_seconds=settings.journal_segment_seconds,
        retention_seconds=max(settings.journal_retention_seconds, settings.max_clock_ahead_seconds),
    )


def open_database(settings: Settings, *, read_only: bool = False) -> "Database":
    """The database that `database` names. read_only: for commands that must not make or change anything."""
    return opening.open_database(settings.database, driver=settings.driver, read_only=read_only)


def database_exists(settings: Settings) -> bool:
    """Whether the database has been made yet, as far as that can be seen without a connection."""
    scheme, rest = split("database", settings.database, DATABASES)
    return scheme != "sqlite" or file_of(rest).exists()


def nothing_is_there(settings: Settings) -> bool:
    """Whether nothing was ever written. Raises Unavailable where the database is missing, and a shared cache may have devices."""
    if database_exists(settings):
        return False
    with closing(open_cache(settings)) as cache:
        if not cache.is_private:
            check_database_exists(settings)
    return True


def check_database_exists(settings: Settings) -> None:
    """Raise Unavailable while nobody has made the database: for commands that make nothing."""
    if not database_exists(settings):
        raise Unavailable(
            f"there is no database {masked(settings.database)} yet", "`devicesync up` or `devicesync init` makes it"
        )


def open_cache(settings: Settings) -> "Cache":
    """The cache that `cache` names."""
    return opening.open_cache(
        settings.cache,
        tombstone_ttl_seconds=settings.tombstone_ttl_seconds,
        profile_ttl_seconds=settings.profile_ttl_seconds,
    )


def open_stores(settings: Settings, *, read_only: bool = False) -> "Stores":
    """Both stores. read_only: for commands that must not make or change anything in the database. Raises WrongUse."""
    check_cache(settings)
    return _open_stores(settings, read_only=read_only)


def open_stores_to_read(settings: Settings) -> "Stores":
    """Stores for a process that is not the updater. A private cache is the updater's own, so it gets one that keeps nothing."""
    return _open_stores(settings, read_only=True, own_cache=0)


def open_stores_to_compare(settings: Settings, *, repairs: bool = False) -> "Stores":
    """Stores for an audit. A private cache is the updater's own, so it gets one of its own, which it fills to see what comes out.

    repairs: whether it writes into the database.
    """
    from devicesync.cache.memory import DEFAULT_MAX_DEVICES

    check_cache(settings)
    return _open_stores(settings, read_only=not repairs, own_cache=DEFAULT_MAX_DEVICES)


def _open_stores(settings: Settings, *, read_only: bool, own_cache: int | None = None) -> "Stores":
    """own_cache: instead of a private cache, one of so many devices, over a database that is only read."""
    from devicesync.cache.memory import MemoryCache
    from devicesync.stores import Stores

    cache = open_cache(settings)
    if own_cache is not None and cache.is_private:
        cache.close()
        cache, read_only = MemoryCache(own_cache), True
    with ExitStack() as opened:
        opened.callback(cache.close)
        database = open_database(settings, read_only=read_only)
        stores = Stores(cache, database, max_clock_ahead_ms=settings.max_clock_ahead_ms)
        opened.pop_all()
        return stores


def check_cache(settings: Settings) -> None:
    """Raise WrongUse for a cache in memory where several updaters share both log and database: each would have its own."""
    schemes = [url.partition(":")[0] for url in (settings.cache, settings.log, settings.database)]
    if schemes == ["memory", "kafka", "cassandra"]:
        raise WrongUse(
            "a cache in memory lives in one process, and updaters over Kafka and Cassandra are many: each would have its own",
            "set --cache redis://HOST:PORT/DB",
        )


def open_dead_letters(settings: Settings, *, read_only: bool = False, check: Callable[[], None] = lambda: None) -> "DeadLetters":
    """Where refused records are kept: beside the log. read_only: as for the database.

    check: is called again and again while a topic is read, and ends that by what it raises. A file is read at once.
    """
    if named_log.is_shared(settings):
        require("kafka")
        from devicesync.dead_letters.kafka import KafkaDeadLetters
        from devicesync.log.kafka import KafkaUrl

        return KafkaDeadLetters(KafkaUrl.parse(settings.log), check)
    from devicesync.dead_letters.sqlite import SqliteDeadLetters

    return SqliteDeadLetters(dead_letters_path(settings), read_only=read_only)


def check_dead_letters(settings: Settings) -> None:
    """Raise Unavailable where no refused record can be kept, as far as that is seen without one."""
    if named_log.is_shared(settings):
        from devicesync.log.kafka import KafkaUrl
        from devicesync.log.kafka.admin import check_dead_letters

        check_dead_letters(KafkaUrl.parse(settings.log))
    else:
        with closing(open_dead_letters(settings)) as letters:
            letters.find(limit=1)


def dead_letters_path(settings: Settings) -> Path:
    """The file of refused records, where the log is a journal."""
    return settings.directory / data_directory.DEAD_LETTERS


def uses_data_directory(settings: Settings) -> bool:
    """Whether the log or the database is on this machine, in the data directory or beside it."""
    return not named_log.is_shared(settings) or split("database", settings.database, DATABASES)[0] == "sqlite"


def create(settings: Settings) -> list[str]:
    """Make what the settings name and what is not there yet; the columns added to tables that were there. Raises Unavailable."""
    if named_log.is_shared(settings):
        from devicesync.log.kafka import KafkaUrl
        from devicesync.log.kafka.admin import create_topics

        create_topics(KafkaUrl.parse(settings.log), settings.partitions, settings.dead_letter_retention_seconds)
    else:
        data_directory.prepare(settings.directory)
        open_journal(settings).close()
        open_dead_letters(settings).close()
    with closing(open_database(settings)) as database:
        return database.create()


def _url_of_topic(settings: Settings, topic: str) -> "KafkaUrl":
    from devicesync.log.kafka import KafkaUrl

    if named_log.is_topic(topic):
        return KafkaUrl.parse(topic)
    if named_log.is_shared(settings):
        return msgspec.structs.replace(KafkaUrl.parse(settings.log), topic=topic)
    raise WrongUse("the log is not in Kafka, so it is not known where the topic is", "--to-topic kafka://HOST:PORT/TOPIC")
