"""Checkup: what `doctor` finds out. Looks only; creates and changes nothing."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from devicesync import data_directory
from devicesync.assembly import adapters, named_log
from devicesync.assembly.doctor.finding import INIT, Finding
from devicesync.assembly.doctor.log_checkup import check_journal, check_store, check_topic
from devicesync.assembly.doctor.soundness import unsound
from devicesync.config import Settings
from devicesync.errors import DevicesyncError, Unavailable
from devicesync.extras import hint, missing
from devicesync.url import masked

_LITTLE_BYTES = 1 << 30
_OTHERS = 0o077


def checkup(settings: Settings) -> list[Finding]:
    """Look at everything that the settings name."""
    faults = dict(unsound(settings))
    findings = [Finding(name, "failed", str(fault), fault.hint) for name, fault in faults.items()]
    checks: list[tuple[str, Callable[[Settings], Iterator[Finding]]]] = [
        ("data_dir", _data_directory),
        ("log", _log),
        ("database", _database),
        ("cache", _cache),
        ("api", _api),
    ]
    for what, check in checks:
        if what in faults:
            continue
        try:
            findings += list(check(settings))
        except DevicesyncError as error:
            findings.append(Finding(what, "failed", str(error), error.hint))
        except OSError as error:
            findings.append(Finding(what, "failed", str(error), "check the path and its permissions"))
    return findings


def _data_directory(settings: Settings) -> Iterator[Finding]:
    directory = settings.directory
    if not adapters.uses_data_directory(settings):
        return  # nothing of ours is on this machine
    if not directory.is_dir():
        raise Unavailable(f"{directory} does not exist", INIT)
    data_directory.check_format(directory, data_directory.format_of(directory))
    if not os.access(directory, os.W_OK):
        raise Unavailable(f"{directory} is not writable", "run as the user that owns it, or name another --data-dir")
    if directory.stat().st_mode & _OTHERS:
        yield Finding("data_dir", "warning", f"{directory}: others may read push tokens and places", f"chmod 700 {directory}")
    free_bytes = shutil.disk_usage(directory).free
    if free_bytes < _LITTLE_BYTES:
        yield Finding("data_dir", "warning", f"{directory}: {free_bytes >> 20} MiB left on the disk", "free some space")
    else:
        yield Finding("data_dir", "ok", f"{directory}: {free_bytes >> 30} GiB left on the disk")


def _log(settings: Settings) -> Iterator[Finding]:
    if named_log.is_shared(settings):
        yield from check_topic(settings)
    else:
        yield from check_journal(settings)


def _database(settings: Settings) -> Iterator[Finding]:
    if not adapters.database_exists(settings):
        raise Unavailable(f"there is no database {masked(settings.database)}", INIT)
    with closing(adapters.open_database(settings, read_only=True)) as database:
        database.check()
        yield Finding("database", "ok", masked(settings.database))
        if named_log.is_shared(settings):
            with suppress(DevicesyncError):  # the log's own finding says it
                yield from check_store(settings, database)


def _cache(settings: Settings) -> Iterator[Finding]:
    with closing(adapters.open_cache(settings)) as cache:
        cache.check()
        yield Finding("cache", "ok", masked(settings.cache))
        for advice in cache.advice():
            yield Finding("cache", "warning", advice.detail, advice.hint)


def _api(settings: Settings) -> Iterator[Finding]:
    lacking = missing("api")
    if lacking:
        yield Finding("api", "warning", f"it can't be served; not installed: {', '.join(lacking)}", hint("api"))
        return
    from devicesync.api.clients import NO_PROXIES  # noqa: PLC0415 - only here

    if settings.city_file:
        yield Finding("api", "ok", f"places from {settings.city_file}")
    else:
        yield Finding(
            "api", "warning", "no city_file: registrations get no place", "name a City file in MaxMind's format (.mmdb)"
        )
    if not settings.trusted_proxies:
        yield Finding("api", "warning", NO_PROXIES, "with a proxy before the API, name its network there")
