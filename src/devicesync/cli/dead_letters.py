"""`dead-letters`: list, show or replay refused records."""

import base64
import sys
from typing import TYPE_CHECKING, Any

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded

if TYPE_CHECKING:
    from devicesync.log.dead_letters import DeadLetter, DeadLetters

_SHOWN_BYTES = 60


@click.group()
def dead_letters() -> None:
    """Refused records: kept whole, with the reason and where they came from."""


@dead_letters.command("list")
@with_settings
@as_json
@click.option("--reason", help="Only those refused for this reason, e.g. malformed_json.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Show at most so many, the newest first."
)
def list_letters(loaded: Loaded, as_json: bool, reason: str | None, limit: int) -> None:
    """List refused records, the newest first."""
    total, letters = _open(loaded).find(reason=reason, limit=limit)
    if as_json:
        print_json({"total": total, "dead_letters": [_document(letter) for letter in letters]})
        return
    for letter in letters:
        start = letter.value[:_SHOWN_BYTES].decode(errors="backslashreplace")
        click.echo(f"{letter.id}  {letter.reason:<18} {letter.source}:{letter.partition}:{letter.offset}  {start}")
    click.echo(f"{total} in all")


@dead_letters.command("show")
@click.argument("letter_id", metavar="ID")
@with_settings
@as_json
def show_letter(letter_id: str, loaded: Loaded, as_json: bool) -> None:
    """Show one refused record whole. Exit status 1 when there is none of this ID."""
    letter = _open(loaded).get(letter_id)
    if letter is None:
        click.echo(f"no dead letter {letter_id}", err=True)
        sys.exit(1)
    if as_json:
        print_json(_document(letter))
        return
    for name, value in _document(letter).items():
        if name != "value_base64":
            click.echo(f"{name:<12}{value}")
    click.echo(letter.value)


@dead_letters.command("replay")
@with_settings
@as_json
@click.option("--reason", help="Only those refused for this reason.")
@click.option("--id", "letter_id", help="Only this one.")
def replay_letters(loaded: Loaded, as_json: bool, reason: str | None, letter_id: str | None) -> None:
    """Try refused records again, as `apply` would: those that are valid now are applied and leave the dead letters."""
    from devicesync.assembly import delivering  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.replay import replay  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    letters = _open(loaded)
    one = letters.get(letter_id) if letter_id else None
    chosen = ([one] if one else []) if letter_id else letters.find(reason=reason)[1]
    with delivering(loaded.settings, "apply", stop_on_signals()) as delivery:
        applied = replay(chosen, letters, delivery, max_clock_ahead_ms=loaded.settings.max_clock_ahead_ms)
    if as_json:
        print_json({"tried": len(chosen), "applied": applied, "dead": len(chosen) - applied})
    else:
        click.echo(f"{len(chosen)} tried, {applied} applied, {len(chosen) - applied} still refused")


def _open(loaded: Loaded) -> "DeadLetters":
    from devicesync import adapters, hold  # noqa: PLC0415 - --help needs none of it

    hold.prepare(loaded.settings.directory)
    return adapters.open_dead_letters(loaded.settings)


def _document(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "partition": letter.partition,
        "offset": letter.offset,
        "time_ms": letter.time_ms,
        "value_base64": base64.b64encode(letter.value).decode(),
    }
