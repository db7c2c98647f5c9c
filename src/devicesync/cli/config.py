"""`config`: prints the effective settings."""

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded, masked


@click.command()
@with_settings
@as_json
def config(loaded: Loaded, as_json: bool) -> None:
    """Print every setting, its value and where it comes from: a flag, DEVICESYNC_NAME, devicesync.toml or the default.

    Passwords are masked. docs/reference/settings.md says what each setting means.
    """
    names = type(loaded.settings).__struct_fields__
    values = {name: getattr(loaded.settings, name) for name in names}
    shown = {name: masked(value) if isinstance(value, str) else value for name, value in values.items()}
    if as_json:
        print_json({name: {"value": shown[name], "source": loaded.sources[name]} for name in names})
        return
    for name in names:
        click.echo(f"{name:<28}{shown[name]!s:<48}{loaded.sources[name]}")
