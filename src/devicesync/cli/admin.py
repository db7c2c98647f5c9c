"""The admin port of `update`, `ship` and `backup run`: off, unless --admin-listen asks for it."""

# ruff: noqa: PLC0415 - whoever does not ask for it loads none of it

import argparse
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from devicesync.config import Settings

Check = Callable[[], None]
"""Raises where something can't be used now."""


def admin_option(parser: argparse.ArgumentParser) -> None:
    """Add --admin-listen."""
    parser.add_argument("--admin-listen", metavar="HOST:PORT", help="serve /livez, /readyz and /metrics there [off]")


@contextmanager
def admin_port(
    address: str | None, settings: Settings, reader: str, counters: Mapping[str, tuple[str, Callable[[], float]]], **checks: Check
) -> Iterator[str]:
    """Serve while the body runs; words that say where. With None as address nothing is served.

    reader: the job's name as a reader of the log. counters: the meaning and the figure of each. checks: for /readyz.
    """
    if address is None:
        yield ""
        return
    from devicesync.api.admin import admin
    from devicesync.api.metrics import Metrics
    from devicesync.status.lag import lag_of

    metrics = Metrics()
    for name, (meaning, read) in counters.items():
        metrics.counter(name, meaning, read)
    metrics.lag(lambda: lag_of(settings, reader))
    with admin(address, metrics, checks) as url:
        yield f" admin on {url}."


def checks_of_stores(settings: Settings) -> dict[str, Check]:
    """Checks of both stores, over connections of their own, opened when they are first needed."""
    from devicesync import adapters

    database = functools.cache(lambda: adapters.open_database(settings, read_only=True))
    cache = functools.cache(lambda: adapters.open_cache(settings))
    return {"database": lambda: database().check(), "cache": lambda: cache().check()}
