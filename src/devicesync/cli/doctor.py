"""`doctor`: checks every connection and says what to fix."""

import argparse

from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def doctor(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Check the data directory, log, database and cache, and say what to fix.

    It changes nothing. Exit status 0 when everything works, with or without warnings; 3 when something fails or is missing.
    """
    from devicesync.assembly.doctor.checkup import checkup

    del arguments
    findings = checkup(settings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<8}{finding.what:<14}{finding.detail}")
        if finding.hint:
            lines.append(f"{'':<22}hint: {finding.hint}")
    document = {"findings": [finding._asdict() for finding in findings]}
    return Outcome(document, lines, status=3 if any(finding.status == "failed" for finding in findings) else 0)
