"""`up` and `update`: the updater, following the log until it is told to stop."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from devicesync.cli.admin import admin_option, admin_port, checks_of_stores
from devicesync.cli.options import (
    listen_options,
    number,
    print_json,
    say,
    settings_of,
    until_caught_up_option,
    verbose_option,
)
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.url import masked

if TYPE_CHECKING:
    from devicesync.assembly import Embedded, GroupMember


def up_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `up`."""
    verbose_option(parser)
    listen_options(parser)


def up(arguments: argparse.Namespace) -> None:
    """Everything in one process, on the embedded default: takes what is appended to the log into cache and database.

    Registrations come through the Device Register API (--listen; its page at / explains it), or are appended to the log.
    Stops on Ctrl-C or SIGTERM, and goes on where it stopped. Beside it, `apply`, `erase`, `get` and `simulate` work on
    the same data directory. To follow a device-profile.log that another service writes, rotated or not:

        devicesync up --log follow:/var/log/register/device-profile.log
    """
    _run("up", arguments)


def update_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `update`."""
    verbose_option(parser)
    parser.add_argument("--workers", type=number(int, 1), default=1, help="so many processes in one consumer group (Kafka) [1]")
    until_caught_up_option(parser)
    admin_option(parser)


def update(arguments: argparse.Namespace) -> int:
    """The updater alone: from the log into cache and database, until Ctrl-C or SIGTERM.

    With a Kafka log any number of updaters may run, on any number of machines: Kafka shares the partitions out.
    """
    if arguments.workers > 1:
        from devicesync.cli.workers import run_workers  # noqa: PLC0415 - only here

        return run_workers(arguments.workers, settings_of(arguments).settings, arguments.admin_listen, as_json=arguments.json)
    _run("update", arguments, until_caught_up=arguments.until_caught_up)
    return 0


def _run(command: str, arguments: argparse.Namespace, *, until_caught_up: bool = False) -> None:
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import GroupMember, updating  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, running, stop_on_signals  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=arguments.verbose)
    settings = settings_of(arguments).settings
    stop = stop_on_signals()
    _check_followed(adapters.followed_path(settings))
    together = GroupMember(settings, stop) if adapters.is_shared(settings) else updating(settings, command, stop)
    with together as assembled, ExitStack() as opened:
        where = opened.enter_context(_serving(command, settings, assembled, arguments.admin_listen))
        opened.enter_context(running(command, f"{_flow(settings)}.{where}", stop))
        assembled.updater.run(until_caught_up=until_caught_up)
    if arguments.json:
        counts = assembled.updater.counts
        dead = {"dead": counts.dead.total(), "dead_reasons": dict(counts.dead)}
        print_json({"read": counts.read, "applied": counts.applied, **dead})


@contextmanager
def _serving(command: str, settings: Settings, assembled: "Embedded | GroupMember", admin_listen: str | None) -> Iterator[str]:
    """Serve what the command serves beside its updater; words that say where."""
    if command == "up":
        from devicesync.cli.serving import api_beside  # noqa: PLC0415 - `update` needs none of it

        with api_beside(settings, assembled) as (public, admin):
            yield f" API on {public}, admin on {admin}."
        return
    counts, reader = assembled.updater.counts, assembled.reader
    counters = {
        "devicesync_updater_applied_total": ("Events handed through the law.", lambda: counts.applied),
        "devicesync_updater_refused_total": ("Records in the dead letters.", counts.dead.total),
        "devicesync_updater_lost_total": ("Records that were gone before they were read.", lambda: reader.lost),
    }
    checks = checks_of_stores(settings)
    with admin_port(admin_listen, settings, "updater", counters, log=assembled.log.check, **checks) as where:
        yield where


def _check_followed(path: Path | None) -> None:
    """A log to follow may come later, its directory has to be there."""
    if path is None or path.exists():
        return
    if not path.parent.is_dir():
        raise WrongUse(f"can't follow {path}: there is no directory {path.parent}", "check the path in --log follow:PATH")
    say(f"devicesync: {path} is not there yet; it is followed from its first line on")


def _flow(settings: Settings) -> str:
    return f"{masked(settings.log)} -> {masked(settings.cache)}, {masked(settings.database)}"
