"""`rebuild`: the cache from the database, by several processes, resumable."""

import argparse

from devicesync.cli.options import workers
from devicesync.cli.outcome import Outcome
from devicesync.clock import SYSTEM, date_of
from devicesync.config import Settings


def rebuild_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebuild`."""
    parser.add_argument("--workers", type=workers, default=2, help="how many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin again, instead of going on with an interrupted run")


def rebuild(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Fill the cache from the database: after the cache was lost, flushed, or moved.

    It uses the same merge as the updater, so both may run at once: it overwrites nothing newer, and erased devices stay
    erased. Several processes read the token ranges of the database. An interrupted run goes on when the command is called
    again within 12 hours. It says so, and as of when: what the cache lost since may be missing, and --restart fills it.
    """
    from devicesync.assembly.rebuild import rebuild as rebuild_cache
    from devicesync.cli.process import Terminal

    began = SYSTEM.monotonic()
    rebuilt = rebuild_cache(settings, Terminal("rebuild"), workers=arguments.workers, restart=arguments.restart)
    seconds = round(SYSTEM.monotonic() - began, 3)
    partly = f", partly as of {date_of(rebuilt.as_of_ms)}" if rebuilt.resumed else ""
    return Outcome({**rebuilt._asdict(), "seconds": seconds}, [f"{rebuilt.devices:,} devices, in {seconds:,.1f} s{partly}"])
