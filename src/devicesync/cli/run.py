"""`up` and `update`: the updater, following the log until it is told to stop."""

import argparse

from devicesync.cli.options import say, settings_of, verbose_option
from devicesync.config import masked

up_options = verbose_option


def up(arguments: argparse.Namespace) -> None:
    """Everything in one process, on the embedded default: takes what is appended to the log into cache and database.

    Stops on Ctrl-C or SIGTERM, and goes on where it stopped. Beside it, `apply`, `erase`, `get` and `simulate` work on
    the same data directory. To follow a device-profile.log that another service writes, rotated or not:

        devicesync up --log follow:/var/log/register/device-profile.log
    """
    _run("up", arguments)


def update_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `update`."""
    verbose_option(parser)
    parser.add_argument("--until-caught-up", action="store_true", help="leave with status 0 when nothing is left to do")


def update(arguments: argparse.Namespace) -> None:
    """The updater alone: from the log into cache and database, until Ctrl-C or SIGTERM."""
    _run("update", arguments, until_caught_up=arguments.until_caught_up)


def _run(command: str, arguments: argparse.Namespace, *, until_caught_up: bool = False) -> None:
    from devicesync.assembly import updating  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=arguments.verbose)
    settings = settings_of(arguments).settings
    stop = stop_on_signals()
    with updating(settings, command, stop) as embedded:
        stores = f"{masked(settings.cache)}, {masked(settings.database)}"
        say(f"devicesync {command}: {masked(settings.log)} -> {stores}. Ctrl-C stops.")
        embedded.updater.run(until_caught_up=until_caught_up)
