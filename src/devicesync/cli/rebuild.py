"""`rebuild`: the cache from the database, by several processes, resumable."""

import argparse
import time

from devicesync.cli.options import number, print_json, say, settings_of
from devicesync.errors import WrongUse
from devicesync.url import masked

_DEFAULT_WORKERS = 2


def rebuild_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebuild`."""
    parser.add_argument("--workers", type=number(int, 1), default=_DEFAULT_WORKERS, help="so many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin anew, where an earlier run was interrupted")


def rebuild(arguments: argparse.Namespace) -> int:
    """Fill the cache from the database: after it was lost, flushed, or moved.

    Goes through the same merge as the updater, so it may run beside it: nothing newer is overwritten, and erased devices stay
    erased. The database is read by token ranges, several at once. When it is interrupted, the next run goes on where it
    stopped.
    """
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.pool import Pool  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, progress_bar  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.progress import Progress  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    if settings.cache.startswith("memory:"):
        raise WrongUse("a cache in memory lives and dies with its process: there is nothing to rebuild", "set --cache redis://…")
    database = adapters.open_database(settings, read_only=True)
    database.check()
    parts = database.ranges
    database.close()
    began = time.monotonic()
    what = {"database": masked(settings.database), "cache": masked(settings.cache), "parts": parts}
    progress = Progress(settings.directory / data_directory.REBUILD_PROGRESS, what, restart=arguments.restart)
    left = progress.left(map(str, range(parts)))
    if progress.goes_on:
        say(f"going on: {parts - len(left)} of {parts} parts are done (--restart begins anew)")
    with (
        progress_bar(f"rebuild {masked(settings.cache)}", parts, unit="parts") as advance,
        Pool(arguments.workers, settings) as workers,
    ):
        advance(parts - len(left))
        for part, devices in workers.each(_rebuild_part, {name: name for name in left}):
            progress.done(part, devices)
            advance(1)
    progress.finish()
    devices = sum(progress.results.values())
    seconds = round(time.monotonic() - began, 3)
    if arguments.json:
        print_json({"devices": devices, "parts": parts, "resumed": len(left) < parts, "seconds": seconds})
    else:
        print(f"{devices:,} devices, in {seconds:,.1f} s")
    return 0


def _rebuild_part(name: str) -> tuple[str, int]:
    from devicesync.cli.pool import patiently, stores  # noqa: PLC0415 - only in a worker
    from devicesync.jobs.rebuild import rebuild_range  # noqa: PLC0415 - only in a worker

    return name, patiently(lambda: rebuild_range(int(name), stores(read_only=True)))
