"""`apply`: registers events from a file of JSON lines."""

import argparse
import gzip
import os
import zlib
from contextlib import ExitStack
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from devicesync.cli.options import print_json, say, settings_of
from devicesync.errors import TooManyBad, WrongUse

if TYPE_CHECKING:
    import threading
    from gzip import GzipFile

    from devicesync.jobs.apply import Summary

_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 4096
_BUFFER_BYTES = 1 << 18


def apply_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `apply`."""
    parser.add_argument("file", metavar="FILE", type=Path, help="JSON lines; - is stdin")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if any line was refused")


def apply(arguments: argparse.Namespace) -> int:
    """Register events from FILE (JSON lines; - is stdin), and return when both stores have them.

    Lines that are not valid events go to the dead letters, with a reason. Applying a file twice changes nothing.
    Beside a running `up` the events go through its log. A gzipped file is unpacked. Exit status 1 when FILE is something else
    than JSON lines, and says what it looks like.
    """
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import delivering, refusal_limit  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, progress_bar, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.apply import apply as apply_lines  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.apply import lines_of  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.shared.look import look  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.shared.patience import Stopped  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    file: Path = arguments.file
    with ExitStack() as closing:
        stop = stop_on_signals()
        try:
            source, size = _open(file, closing, stop)
            head = source.peek(_HEAD_BYTES)
            delivery = closing.enter_context(delivering(settings, "apply", stop))
            dead_letters = adapters.open_dead_letters(settings)
            closing.callback(dead_letters.close)
            advance = closing.enter_context(progress_bar(f"apply {file.name}", size))
            summary = apply_lines(
                lines_of(source, settings.batch_records),
                delivery,
                dead_letters,
                source=str(file),
                refusal_limit=refusal_limit(settings, at_once=True),
                stop=stop,
                max_clock_ahead_ms=settings.max_clock_ahead_ms,
                progress=lambda read, size: advance(size),
            )
        except Stopped:
            say("devicesync: stopped; apply the file again to finish it, what was done stays done")
            return 130
        except TooManyBad as error:
            raise TooManyBad(f"{error}; {file} looks like {look(head).kind}", look(head).hint or error.hint) from None
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise WrongUse(f"{file} can't be unpacked to its end: {error}", "what came before is applied") from None
    print_json(summary.document()) if arguments.json else _print(summary)
    if summary.is_no_event_file:
        kind, hint = look(head)
        say(f"devicesync: nothing was applied: {file} looks like {kind}" + (f"\n  hint: {hint}" if hint else ""))
        return 1
    return 1 if arguments.strict and summary.dead_reasons else 0


def _open(file: Path, closing: ExitStack, stop: "threading.Event") -> "tuple[BufferedReader | GzipFile, int | None]":
    """The file, unpacked, and its size where that is known. Raises Stopped while a pipe is silent."""
    try:
        opened = _stdin(stop) if str(file) == "-" else closing.enter_context(file.open("rb"))
        is_packed = opened.peek(len(_GZIP)).startswith(_GZIP)
    except OSError as error:
        raise WrongUse(f"can't read {file}: {error.strerror}", "give a file of JSON lines, or - for stdin") from None
    if is_packed:
        return closing.enter_context(gzip.GzipFile(fileobj=opened)), None
    return opened, (os.fstat(opened.fileno()).st_size or None) if str(file) != "-" else None


def _stdin(stop: "threading.Event") -> BufferedReader:
    from devicesync.cli.waiting_input import WaitingInput  # noqa: PLC0415 - only here

    return BufferedReader(WaitingInput(0, stop), _BUFFER_BYTES)


def _print(summary: "Summary") -> None:
    dead = sum(summary.dead_reasons.values())
    print(f"{summary.read} read, {summary.applied} applied to {summary.devices} devices, {dead} refused, {summary.seconds:.2f} s")
    for reason, count in sorted(summary.dead_reasons.items()):
        print(f"  {reason}: {count}")
    if dead:
        print("  hint: `devicesync dead-letters list` shows them")
