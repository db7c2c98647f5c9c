"""`config`: prints the effective settings."""

import argparse

from devicesync.cli.options import loaded_by
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings, shown


def config_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `config`."""
    parser.add_argument("--check", action="store_true", help="only say whether the settings can work (for CI); asks no server")


def config(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Print every setting, its value and where it comes from: a flag, DEVICESYNC_NAME, devicesync.toml or the default.

    Passwords and keys are masked. docs/reference/settings.md says what each setting means. Exit status 2 when a setting can't
    work, whatever runs where.
    """
    from devicesync.assembly.doctor.soundness import unsound

    faults = list(unsound(settings))
    notes = [f"devicesync: {fault}\n  hint: {fault.hint}" for _, fault in faults]
    status = 2 if faults else 0
    if arguments.check:
        found = [{"setting": name, "detail": str(fault)} for name, fault in faults]
        return Outcome(
            {"sound": not faults, "faults": found}, [] if faults else ["the settings are sound"], notes=notes, status=status
        )
    sources = loaded_by(arguments).sources
    document = {name: {"value": shown(settings, name), "source": source} for name, source in sources.items()}
    lines = [f"{name:<32}{each['value']!s:<48} {each['source']}" for name, each in document.items()]
    return Outcome(document, lines, notes=notes, status=status)
