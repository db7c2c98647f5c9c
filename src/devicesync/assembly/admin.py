"""The admin port of `update`, `ship`, `enrich` and `backup run`: off, unless an address is given."""

# ruff: noqa: PLC0415 - whoever does not ask for it loads none of it

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.jobs.shared import patience
from devicesync.status.declared import Readings

Check = Callable[[], None]
"""Raises where something can't be used now."""


@contextmanager
def admin_port(
    address: str | None, settings: Settings, command: str, reader: str, readings: Callable[[], Readings], /, **checks: Check
) -> Iterator[str]:
    """Serve while the body runs; words that say where. With None as address nothing is served.

    command: as users type it. reader: its name as a reader of the log. readings: its own figures. checks: for /readyz.
    """
    if address is None:
        yield ""
        return
    from devicesync.api.admin import admin
    from devicesync.assembly.lag import lag_of
    from devicesync.status.metrics import Metrics

    metrics = Metrics(command)
    metrics.add(readings)
    metrics.add(patience.readings)
    metrics.add_lag(lambda: lag_of(settings, reader))
    with admin(address, metrics, checks) as url:
        yield f" admin on {url}."


@contextmanager
def checks_of_stores(settings: Settings) -> Iterator[dict[str, Check]]:
    """Checks of both stores, over connections of their own, opened when they are first needed."""
    with ExitStack() as opened:
        database = functools.cache(lambda: opened.enter_context(closing(adapters.open_database(settings, read_only=True))))
        cache = functools.cache(lambda: opened.enter_context(closing(adapters.open_cache(settings))))
        yield {"database": lambda: database().check(), "cache": lambda: cache().check()}
