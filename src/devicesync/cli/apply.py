"""`apply`: registers events from a file of JSON lines."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from devicesync.cli.outcome import Outcome
from devicesync.config import Settings
from devicesync.url import file_of

if TYPE_CHECKING:
    from devicesync.jobs.apply import Summary


def apply_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `apply`."""
    parser.add_argument("file", metavar="FILE", type=file_of, help="JSON lines; - is stdin")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any line was refused")


def apply(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Register events from FILE (JSON lines; - is stdin), and return when both stores have them.

    A line that is not a valid event goes to the dead letters, with a reason. Applying a file twice changes nothing. While
    `up` runs, the events go through its log. A gzipped file is unpacked. Exit status 1 when FILE holds something else than
    JSON lines; the message says what it looks like.
    """
    from devicesync.assembly.apply import apply as apply_file
    from devicesync.cli.process import Terminal, stop_on_signals

    summary, (kind, hint) = apply_file(arguments.file, settings, stop_on_signals(), Terminal("apply"))
    document, lines = summary.document(), _lines(summary)
    if summary.is_no_event_file:
        note = f"devicesync: nothing was applied: {arguments.file} looks like {kind}" + (f"\n  hint: {hint}" if hint else "")
        return Outcome(document, lines, notes=[note], status=1)
    return Outcome(document, lines, status=1 if arguments.strict and summary.dead_reasons else 0)


def _lines(summary: "Summary") -> Iterator[str]:
    dead = sum(summary.dead_reasons.values())
    yield f"{summary.read} read, {summary.applied} applied to {summary.devices} devices, {dead} refused, {summary.seconds:.2f} s"
    for reason, count in sorted(summary.dead_reasons.items()):
        yield f"  {reason}: {count}"
    if dead:
        yield "  hint: `devicesync dead-letters list` shows them"
