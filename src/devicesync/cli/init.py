"""`init`: creates what the settings name."""

import argparse

from devicesync.cli.options import print_json, say, settings_of
from devicesync.url import masked


def init(arguments: argparse.Namespace) -> None:
    """Create the data directory, the journal or topics, and the tables; what exists is left as it is."""
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it

    settings = settings_of(arguments).settings
    if not adapters.is_shared(settings):
        data_directory.prepare(settings.directory)
    added = adapters.create(settings)
    if added:
        say(f"added to tables that were there: {', '.join(added)} (docs/real-stack.md says why)")
    ready = {"data_dir": settings.data_dir, "log": masked(settings.log), "database": masked(settings.database)}
    if arguments.json:
        print_json({"ready": ready})
    else:
        for name, value in ready.items():
            print(f"{name:<10}{value}")
        print("ready; `devicesync doctor` checks it at any time")
