"""The admin port of `update`, `ship`, `enrich` and `backup run`: off, unless an address is given."""

# ruff: noqa: PLC0415 - whoever does not ask for it loads none of it

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.jobs.shared import patience
from devicesync.status.declared import Readings
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.assembly.updater import Embedded, GroupMember

Check = Callable[[], None]
"""Raises where something can't be used now."""


@contextmanager
def admin_port(  # noqa: PLR0917 - all of them are needed
    address: str | None,
    settings: Settings,
    command: str,
    reader: str,
    readings: Callable[[], Readings],
    assembled: "Embedded | GroupMember | None" = None,
    /,
    *,
    uses: Mapping[str, str],
    **checks: Check,
) -> Iterator[str]:
    """Serve while the body runs; words that say where. With None as address nothing is served.

    command: as users type it. reader: its name as a reader of the log. readings: its own figures. assembled: its
    updater, where it has one, whose freshness and devices the page shows. uses: see Metrics. checks: for /readyz.
    """
    if address is None:
        yield ""
        return
    from devicesync.api.access import Access
    from devicesync.api.admin import admin
    from devicesync.assembly.lag import lag_of
    from devicesync.status.metrics import Metrics

    metrics = Metrics(command, uses)
    metrics.add(readings)
    metrics.add(patience.readings)
    metrics.add_lag(lambda: lag_of(settings, reader))
    access = Access(settings.register_keys, settings.admin_keys, settings.jwt_key)
    with ExitStack() as opened:
        sight = None
        if assembled:
            from devicesync.assembly.sight import sight_of, stores_beside

            metrics.freshness = assembled.updater.counts.freshness
            sight = opened.enter_context(sight_of(settings, assembled.log, lambda: stores_beside(settings, assembled)))
        yield f" admin on {opened.enter_context(admin(address, metrics, checks, access, sight))}."


@contextmanager
def checks_of_stores(settings: Settings) -> Iterator[dict[str, Check]]:
    """Checks of both stores, over connections of their own, opened when they are first needed."""
    with ExitStack() as opened:
        database = functools.cache(lambda: opened.enter_context(closing(adapters.open_database(settings, read_only=True))))
        cache = functools.cache(lambda: opened.enter_context(closing(adapters.open_cache(settings))))
        yield {"database": lambda: database().check(), "cache": lambda: cache().check()}


def used(settings: Settings, *names: str) -> dict[str, str]:
    """What the settings of these names name, and the data directory, as Metrics wants it."""
    return {name: masked(getattr(settings, name)) for name in names} | {"data_dir": str(settings.directory.absolute())}
