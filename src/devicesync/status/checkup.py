"""Checkup: what `doctor` finds out. Looks only; creates and changes nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Literal, NamedTuple

from devicesync import adapters, hold
from devicesync.config import Settings, masked
from devicesync.errors import DevicesyncError, Unavailable
from devicesync.log.journal.files import Files

_LITTLE_BYTES = 1 << 30
_INIT = "run `devicesync init`"


class Finding(NamedTuple):
    """One thing looked at. `hint` says what to do, where there is something to do."""

    what: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""


def checkup(settings: Settings) -> list[Finding]:
    """Look at everything that the settings name."""
    checks: list[tuple[str, Callable[[Settings], Iterator[Finding]]]] = [
        ("data_dir", _data_directory),
        ("log", _log),
        ("database", _database),
        ("cache", _cache),
        ("api", _api),
    ]
    findings = []
    for what, check in checks:
        try:
            findings += list(check(settings))
        except DevicesyncError as error:
            findings.append(Finding(what, "failed", str(error), error.hint))
    return findings


def _data_directory(settings: Settings) -> Iterator[Finding]:
    directory = settings.directory
    if adapters.is_shared(settings) and not settings.database.startswith("sqlite:"):
        return  # nothing of ours is on this machine
    if not directory.is_dir():
        raise Unavailable(f"{directory} does not exist", _INIT)
    hold.check_format(directory)
    if not os.access(directory, os.W_OK):
        raise Unavailable(f"{directory} is not writable", "run as the user that owns it, or name another --data-dir")
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < _LITTLE_BYTES:
        yield Finding("data_dir", "warning", f"{directory}: {free_bytes >> 20} MiB left on the disk", "free some space")
    else:
        yield Finding("data_dir", "ok", f"{directory}: {free_bytes >> 30} GiB left on the disk")
    dead = directory / "dead-letters.db"
    total = adapters.open_dead_letters(settings).find(limit=0)[0] if dead.exists() else 0
    if total:
        yield Finding("dead letters", "warning", f"{total} refused records", "`devicesync dead-letters list`")


def _log(settings: Settings) -> Iterator[Finding]:
    if adapters.is_shared(settings):
        yield from _topic(settings)
        return
    followed = adapters.followed_path(settings)
    if followed:
        if not os.access(followed, os.R_OK):
            raise Unavailable(f"{followed} can't be read", "check the path, and that this user may read it")
        yield Finding("log", "ok", f"follows {followed}")
    path = adapters.journal_path(settings)
    if not path.exists():
        raise Unavailable(f"there is no journal {path}", _INIT)
    positions = Files(path).positions()
    readers = ", ".join(f"{name} at record {position}" for name, position in sorted(positions.items()))
    yield Finding("log", "ok", f"{path}: {readers or 'no readers yet'}")


def _topic(settings: Settings) -> Iterator[Finding]:
    from devicesync.log.kafka import place_of  # noqa: PLC0415 - only where the log is Kafka
    from devicesync.log.kafka.admin import differences  # noqa: PLC0415 - only where the log is Kafka

    told = differences(place_of(settings.log), settings.partitions)
    yield Finding("log", "ok", masked(settings.log))
    for difference in told:
        yield Finding("log", "warning", difference, "kafka-configs.sh or kafka-topics.sh --alter changes it")


def _database(settings: Settings) -> Iterator[Finding]:
    if not adapters.database_exists(settings):
        raise Unavailable(f"there is no database {masked(settings.database)}", _INIT)
    with closing(adapters.open_database(settings, read_only=True)) as database:
        database.check()
    yield Finding("database", "ok", masked(settings.database))


def _cache(settings: Settings) -> Iterator[Finding]:
    with closing(adapters.open_cache(settings)) as cache:
        cache.check()
        yield Finding("cache", "ok", masked(settings.cache))
        for advice in cache.advice():
            yield Finding("cache", "warning", advice.detail, advice.hint)


def _api(settings: Settings) -> Iterator[Finding]:
    from devicesync.api.access import Access  # noqa: PLC0415 - only here
    from devicesync.api.clients import NO_PROXIES, Clients  # noqa: PLC0415 - only here
    from devicesync.api.location import Locations  # noqa: PLC0415 - only here

    Access(settings.register_keys, settings.admin_keys, settings.jwt_key)
    Clients(settings.trusted_proxies)
    Locations(settings.city_file, settings.location_table)
    if settings.city_file:
        yield Finding("api", "ok", f"places from {settings.city_file}")
    else:
        yield Finding(
            "api", "warning", "no city_file: registrations get no place", "name a City file in MaxMind's format (.mmdb)"
        )
    if not settings.trusted_proxies:
        yield Finding("api", "warning", NO_PROXIES, "with a proxy before the API, name its network there")
