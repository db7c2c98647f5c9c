"""`apply`: registers events from a file of JSON lines."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded
from devicesync.errors import WrongUse

if TYPE_CHECKING:
    from devicesync.jobs.apply import Summary


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@with_settings
@as_json
@click.option("--strict", is_flag=True, help="Exit with status 1 if any line was refused.")
def apply(file: Path, loaded: Loaded, as_json: bool, strict: bool) -> None:
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
    settings = loaded.settings
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
                bad_share=bad_share(settings),
                stop=stop,
                max_clock_ahead_ms=settings.max_clock_ahead_ms,
                progress=lambda read, size: advance(size),
            )
        except Stopped:
            click.echo("devicesync: stopped; apply the file again to finish it, what was done stays done", err=True)
            sys.exit(130)
    print_json(summary.document()) if as_json else _print(summary)
    if strict and summary.dead_reasons:
        sys.exit(1)


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
    click.echo(
        f"{summary.read} read, {summary.applied} applied to {summary.devices} devices, {dead} refused, {summary.seconds:.2f} s"
    )
    for reason, count in sorted(summary.dead_reasons.items()):
        click.echo(f"  {reason}: {count}")
    if dead:
        click.echo("  hint: `devicesync dead-letters list` shows them")
    if dead == summary.read and set(summary.dead_reasons) <= {"malformed_json", "not_an_object"}:
        click.echo("  hint: one event a line; `jq -c . FILE` makes lines of pretty-printed JSON")
