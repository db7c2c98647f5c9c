"""`init`: creates what the settings name."""

import argparse

from devicesync.cli.options import print_json, settings_of


def init(arguments: argparse.Namespace) -> None:
    """Create the data directory, the journal and the tables. What exists is left as it is; run it as often as you like."""
    from devicesync import adapters, hold  # noqa: PLC0415 - --help needs none of it

    settings = settings_of(arguments).settings
    hold.prepare(settings.directory)
    adapters.open_journal(settings).close()
    adapters.open_database(settings).close()
    adapters.open_dead_letters(settings).close()
    ready = {"data_dir": settings.data_dir, "log": settings.log, "database": settings.database}
    if arguments.json:
        print_json({"ready": ready})
    else:
        for name, value in ready.items():
            print(f"{name:<10}{value}")
        print("ready; `devicesync doctor` checks it at any time")
