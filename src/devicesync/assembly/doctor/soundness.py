"""Soundness: which settings can't work whatever runs where, found without any server."""

from collections.abc import Callable, Iterator

import msgspec

from devicesync.assembly import adapters, named_log
from devicesync.assembly.opening import check_database
from devicesync.config import Settings, host_and_port
from devicesync.errors import WrongUse
from devicesync.extras import missing
from devicesync.url import masked_wrong


def unsound(settings: Settings) -> Iterator[tuple[str, WrongUse]]:
    """The settings that can't work, each with why. Reads the files that they name; connects to nothing."""
    checks: dict[str, Callable[[Settings], object]] = {
        "log": named_log.topic_of,
        "ship_to": _ship_to,
        "database": _database,
        "cache": _cache,
        "listen": lambda settings: host_and_port("listen", settings.listen),
        "admin_listen": lambda settings: host_and_port("admin_listen", settings.admin_listen),
        "api": _api,
    }
    for name, check in checks.items():
        try:
            check(settings)
        except WrongUse as error:
            yield name, error
        except OSError:
            continue  # a path that this user may not see: no setting's form
        except ValueError as error:
            yield name, WrongUse(f"{name} is not understood: {error}", "docs/reference/settings.md shows its form")


def _ship_to(settings: Settings) -> None:
    if not settings.ship_to:
        return
    if not named_log.is_topic(settings.ship_to):
        raise WrongUse(f"ship_to = {masked_wrong(settings.ship_to)!r} is no Kafka topic", "write kafka://HOST:PORT/TOPIC")
    named_log.topic_of(msgspec.structs.replace(settings, log=settings.ship_to))


def _database(settings: Settings) -> None:
    check_database(settings.database)


def _cache(settings: Settings) -> None:
    adapters.open_cache(settings).close()
    adapters.check_cache(settings)


def _api(settings: Settings) -> None:
    if missing("api"):
        return
    from devicesync.api.access import Access  # noqa: PLC0415 - only here
    from devicesync.api.clients import Clients  # noqa: PLC0415 - only here
    from devicesync.api.location import Locations  # noqa: PLC0415 - only here

    Access(settings.register_keys, settings.admin_keys, settings.jwt_key)
    Clients(settings.trusted_proxies)
    Locations(settings.city_file, settings.location_table)
