"""`rebuild`: the cache from the database, by several processes, resumable."""

import argparse
import time

from devicesync.cli.options import number
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings

_DEFAULT_WORKERS = 2


def rebuild_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebuild`."""
    parser.add_argument("--workers", type=number(int, 1), default=_DEFAULT_WORKERS, help="so many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin anew, where an earlier run was interrupted")


def rebuild(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Fill the cache from the database: after it was lost, flushed, or moved.

    Goes through the same merge as the updater, so it may run beside it: nothing newer is overwritten, and erased devices stay
    erased. The database is read by token ranges, several at once. When it is interrupted, the next run goes on where it
    stopped.
    """
    from devicesync.assembly.rebuild import rebuild as rebuild_cache
    from devicesync.cli.process import Terminal

    began = time.monotonic()
    rebuilt = rebuild_cache(settings, Terminal("rebuild"), workers=arguments.workers, restart=arguments.restart)
    seconds = round(time.monotonic() - began, 3)
    return Outcome({**rebuilt._asdict(), "seconds": seconds}, [f"{rebuilt.devices:,} devices, in {seconds:,.1f} s"])
