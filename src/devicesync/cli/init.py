"""`init`: creates what the settings name."""

import argparse

from devicesync.cli.outcome import Outcome
from devicesync.config import Settings
from devicesync.url import masked


def init(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Create the data directory, the journal or the topics, and the tables. What exists is left as it is."""
    from devicesync.assembly import adapters

    del arguments
    added = adapters.create(settings)
    notes = [f"added to tables that were there: {', '.join(added)} (docs/real-stack.md says why)"] if added else []
    ready = {"data_dir": settings.data_dir, "log": masked(settings.log), "database": masked(settings.database)}
    lines = [f"{name:<10}{value}" for name, value in ready.items()]
    return Outcome({"ready": ready}, [*lines, "ready; `devicesync doctor` checks it at any time"], notes=notes)
