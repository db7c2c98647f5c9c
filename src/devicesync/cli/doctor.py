"""`doctor`: checks every connection and says what to fix."""

import argparse

from devicesync.cli.options import print_json, settings_of


def doctor(arguments: argparse.Namespace) -> int:
    """Check the data directory, log, database and cache, and say what to fix.

    Exit status 0 when all work, with or without warnings; 3 when one fails or something is missing. Changes nothing.
    """
    from devicesync.status.checkup import checkup  # noqa: PLC0415 - --help needs none of it

    findings = checkup(settings_of(arguments).settings)
    if arguments.json:
        print_json({"findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.status:<8}{finding.what:<14}{finding.detail}")
            if finding.hint:
                print(f"{'':<22}hint: {finding.hint}")
    return 3 if any(finding.status == "failed" for finding in findings) else 0
