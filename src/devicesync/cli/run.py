"""`up` and `update`: the updater, following the log until it is told to stop."""

import click

from devicesync.cli.options import verbose, with_settings
from devicesync.config import Loaded, Settings, masked


@click.command()
@with_settings
@verbose
def up(loaded: Loaded, verbose: bool) -> None:
    """Everything in one process, on the embedded default: takes what is appended to the log into cache and database.

    Stops on Ctrl-C or SIGTERM, and goes on where it stopped. Beside it, `apply`, `erase`, `get` and `simulate` work on
    the same data directory. To follow a device-profile.log that another service writes, rotated or not:

        devicesync up --log follow:/var/log/register/device-profile.log
    """
    _run("up", loaded.settings, verbose=verbose)


@click.command()
@with_settings
@verbose
@click.option("--until-caught-up", is_flag=True, help="Leave with status 0 when nothing is left to do.")
def update(loaded: Loaded, verbose: bool, until_caught_up: bool) -> None:
    """The updater alone: from the log into cache and database, until Ctrl-C or SIGTERM."""
    _run("update", loaded.settings, verbose=verbose, until_caught_up=until_caught_up)


def _run(command: str, settings: Settings, *, verbose: bool, until_caught_up: bool = False) -> None:
    from devicesync.assembly import updating  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=verbose)
    stop = stop_on_signals()
    with updating(settings, command, stop) as embedded:
        stores = f"{masked(settings.cache)}, {masked(settings.database)}"
        click.echo(f"devicesync {command}: {masked(settings.log)} -> {stores}. Ctrl-C stops.", err=True)
        embedded.updater.run(until_caught_up=until_caught_up)
