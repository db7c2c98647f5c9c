"""`init`: creates what the settings name."""

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded


@click.command()
@with_settings
@as_json
def init(loaded: Loaded, as_json: bool) -> None:
    """Create the data directory, the journal and the tables. What exists is left as it is; run it as often as you like."""
    from devicesync import adapters, hold  # noqa: PLC0415 - --help needs none of it

    settings = loaded.settings
    hold.prepare(settings.directory)
    adapters.open_journal(settings).close()
    adapters.open_database(settings).close()
    adapters.open_dead_letters(settings).close()
    ready = {"data_dir": settings.data_dir, "log": settings.log, "database": settings.database}
    if as_json:
        print_json({"ready": ready})
    else:
        for name, value in ready.items():
            click.echo(f"{name:<10}{value}")
        click.echo("ready; `devicesync doctor` checks it at any time")
