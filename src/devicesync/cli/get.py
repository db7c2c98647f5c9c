"""`get`: prints a device's profile. Nothing heavy is loaded here: people and scripts call it often."""

import sys
from typing import TYPE_CHECKING

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded, Settings

if TYPE_CHECKING:
    from devicesync.law import State


@click.command()
@click.argument("device_id")
@with_settings
@as_json
@click.option(
    "--from",
    "store",
    type=click.Choice(["cache", "database"]),
    default="cache",
    show_default=True,
    help="Ask the cache, filled from the database on a miss, or the database alone.",
)
def get(device_id: str, loaded: Loaded, as_json: bool, store: str) -> None:
    """Print the profile of DEVICE_ID. Exit status 1 when the device is not known, or erased."""
    from devicesync.law import view  # noqa: PLC0415 - --help needs none of it

    document = view(device_id, _state(device_id, loaded.settings, store))
    if as_json:
        print_json(document)
    elif document["erased"]:
        click.echo(f"{device_id} is erased, version {document['version']}", err=True)
    elif document["profile"] is None:
        click.echo(f"{device_id} is not known", err=True)
    else:
        click.echo(f"{device_id}  version {document['version']}  digest {document['digest'][:16]}…")
        for name, value in sorted(document["profile"].items()):
            click.echo(f"  {name:<24}{_text(value)}")
    sys.exit(0 if document["profile"] else 1)


def _text(value: str | int | dict[str, str]) -> str:
    return ", ".join(f"{key}={entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value)


def _state(device_id: str, settings: Settings, store: str) -> "State":
    from devicesync import adapters, hold  # noqa: PLC0415 - --help needs none of it
    from devicesync.law import NOTHING  # noqa: PLC0415 - --help needs none of it

    hold.check_format(settings.directory)
    if not adapters.database_exists(settings):
        return NOTHING
    database = adapters.open_database(settings, read_only=True)
    if store == "database":
        return database.read([device_id]).get(device_id, NOTHING)
    from devicesync.jobs.lookup import lookup  # noqa: PLC0415 - --help needs none of it

    return lookup(device_id, adapters.open_cache(settings), database)
