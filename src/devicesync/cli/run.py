"""`up` and `update`: the updater, following the log until it is told to stop."""

import argparse
import sys

from devicesync.cli.options import admin_option, listen_options, log_options, until_caught_up_option, workers
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def up_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `up`."""
    log_options(parser)
    listen_options(parser)


def up(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Run everything in one process: the log, the updater and the Device Register API.

    Registrations come through the API (--listen; its page at / explains it), or are appended to the log. The updater takes
    them into cache and database. Ctrl-C or SIGTERM stops it, and the next start goes on where it stopped. Meanwhile `apply`,
    `erase`, `get` and `simulate` can use the same data directory. To follow a device-profile.log that another service writes,
    rotated or not:

        devicesync up --log follow:/var/log/register/device-profile.log
    """
    return _keep_updating("up", arguments, settings)


def update_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `update`."""
    log_options(parser)
    parser.add_argument("--workers", type=workers, default=1, help="how many processes, in one consumer group (Kafka) [1]")
    until_caught_up_option(parser)
    admin_option(parser)


def update(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Run the updater alone. It takes events from the log into cache and database, until Ctrl-C or SIGTERM.

    With a Kafka log any number of updaters may run, on any number of machines. Kafka divides the partitions among them.
    """
    return _workers(arguments, settings) if arguments.workers > 1 else _keep_updating("update", arguments, settings)


def _keep_updating(command: str, arguments: argparse.Namespace, settings: Settings) -> Outcome:
    from devicesync.assembly.running import keep_updating
    from devicesync.cli.process import AGAIN_SECONDS, long_run

    counts = keep_updating(command, settings, long_run(command, arguments, AGAIN_SECONDS))
    dead = {"dead": counts.dead.total(), "dead_reasons": dict(counts.dead)}
    return Outcome({"read": counts.read, "applied": counts.applied, **dead})


def _workers(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """The same command so many times."""
    from devicesync.assembly.workers import run_workers

    words = _without(("--workers", "--admin-listen"), sys.argv[1:])
    ends = {"collect": arguments.json, "catch_up": arguments.until_caught_up}
    ended = run_workers(settings, arguments.workers, words, arguments.admin_listen, **ends)
    return Outcome(ended.document, status=ended.status)


def _without(flags: tuple[str, ...], words: list[str]) -> list[str]:
    kept = []
    rest = iter(words)
    for word in rest:
        if word in flags:
            next(rest, None)
        elif not word.startswith(tuple(f"{flag}=" for flag in flags)):
            kept.append(word)
    return kept
