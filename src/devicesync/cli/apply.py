"""`apply`: registers events from a file of JSON lines."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from devicesync.cli.options import print_json, say, settings_of
from devicesync.errors import WrongUse

if TYPE_CHECKING:
    from devicesync.jobs.apply import Summary


def apply_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `apply`."""
    parser.add_argument("file", metavar="FILE", type=Path, help="JSON lines; - is stdin")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any line was refused")


def apply(arguments: argparse.Namespace) -> int:
    """Register events from FILE (JSON lines; - is stdin), and return when both stores have them.

    Lines that are not valid events go to the dead letters, with a reason. Applying a file twice changes nothing.
    Beside a running `up` the events go through its log.
    """
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import bad_share, delivering  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, progress_bar, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.apply import apply as apply_lines  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.apply import lines_of  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.patience import Stopped  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    file: Path = arguments.file
    with ExitStack() as closing:
        source, size = _open(file, closing)
        stop = stop_on_signals()
        delivery = closing.enter_context(delivering(settings, "apply", stop))
        dead_letters = adapters.open_dead_letters(settings)
        closing.callback(dead_letters.close)
        advance = closing.enter_context(progress_bar(f"apply {file.name}", size))
        try:
            summary = apply_lines(
                lines_of(source, settings.batch_records),
                delivery,
                dead_letters,
                source=str(file),
                bad_share=bad_share(settings, at_once=True),
                stop=stop,
                max_clock_ahead_ms=settings.max_clock_ahead_ms,
                progress=lambda read, size: advance(size),
            )
        except Stopped:
            say("devicesync: stopped; apply the file again to finish it, what was done stays done")
            return 130
    print_json(summary.document()) if arguments.json else _print(summary)
    return 1 if arguments.strict and summary.dead_reasons else 0


def _open(file: Path, closing: ExitStack) -> tuple[BinaryIO, int | None]:
    if str(file) == "-":
        return sys.stdin.buffer, None
    try:
        opened = closing.enter_context(file.open("rb"))
    except OSError as error:
        raise WrongUse(f"can't read {file}: {error.strerror}", "give a file of JSON lines, or - for stdin") from None
    return opened, file.stat().st_size or None


def _print(summary: "Summary") -> None:
    dead = sum(summary.dead_reasons.values())
    print(f"{summary.read} read, {summary.applied} applied to {summary.devices} devices, {dead} refused, {summary.seconds:.2f} s")
    for reason, count in sorted(summary.dead_reasons.items()):
        print(f"  {reason}: {count}")
    if dead:
        print("  hint: `devicesync dead-letters list` shows them")
    if dead == summary.read and set(summary.dead_reasons) <= {"malformed_json", "not_an_object"}:
        print("  hint: one event a line; `jq -c . FILE` makes lines of pretty-printed JSON")
