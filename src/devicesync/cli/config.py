"""`config`: prints the effective settings."""

import argparse

from devicesync.cli.options import print_json, settings_of
from devicesync.config import shown


def config(arguments: argparse.Namespace) -> None:
    """Print every setting, its value and where it comes from: a flag, DEVICESYNC_NAME, devicesync.toml or the default.

    Passwords and keys are masked. docs/reference/settings.md says what each setting means.
    """
    loaded = settings_of(arguments)
    names = type(loaded.settings).__struct_fields__
    if arguments.json:
        print_json({name: {"value": shown(loaded.settings, name), "source": loaded.sources[name]} for name in names})
        return
    for name in names:
        print(f"{name:<28}{shown(loaded.settings, name)!s:<48}{loaded.sources[name]}")
