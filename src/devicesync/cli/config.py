"""`config`: prints the effective settings."""

import argparse

from devicesync.cli.options import print_json, say, settings_of
from devicesync.config import shown


def config_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `config`."""
    parser.add_argument("--check", action="store_true", help="only say whether the settings can work, for CI; asks no server")


def config(arguments: argparse.Namespace) -> int:
    """Print every setting, its value and where it comes from: a flag, DEVICESYNC_NAME, devicesync.toml or the default.

    Passwords and keys are masked. docs/reference/settings.md says what each setting means. Exit status 2 when one of them can't
    work, whatever runs where.
    """
    from devicesync.status.soundness import unsound  # noqa: PLC0415 - --help needs none of it

    loaded = settings_of(arguments)
    names = type(loaded.settings).__struct_fields__
    faults = list(unsound(loaded.settings))
    if arguments.check:
        if arguments.json:
            print_json({"sound": not faults, "faults": [{"setting": name, "detail": str(fault)} for name, fault in faults]})
        elif not faults:
            print("the settings are sound")
    elif arguments.json:
        print_json({name: {"value": shown(loaded.settings, name), "source": loaded.sources[name]} for name in names})
    else:
        for name in names:
            print(f"{name:<32}{shown(loaded.settings, name)!s:<48}{loaded.sources[name]}")
    for _, fault in faults:
        say(f"devicesync: {fault}\n  hint: {fault.hint}")
    return 2 if faults else 0
