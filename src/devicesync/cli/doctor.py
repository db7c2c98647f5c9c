"""`doctor`: checks every connection and says what to fix."""

import sys

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded


@click.command()
@with_settings
@as_json
def doctor(loaded: Loaded, as_json: bool) -> None:
    """Check the data directory, log, database and cache, and say what to fix.

    Exit status 0 when all work, with or without warnings; 3 when one fails or something is missing. Changes nothing.
    """
    from devicesync.status.checkup import checkup  # noqa: PLC0415 - --help needs none of it

    findings = checkup(loaded.settings)
    if as_json:
        print_json({"findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{finding.status:<8}{finding.what:<14}{finding.detail}")
            if finding.hint:
                click.echo(f"{'':<22}hint: {finding.hint}")
    sys.exit(3 if any(finding.status == "failed" for finding in findings) else 0)
