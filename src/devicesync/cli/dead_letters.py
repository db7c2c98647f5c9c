"""`dead-letters`: list, show or replay refused records."""

import argparse
import base64
import sys
from typing import TYPE_CHECKING, Any

from devicesync.cli.options import number, print_json, say, settings_of, show
from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetter, DeadLetters

_SHOWN_BYTES = 60


def dead_letters_list_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters list`."""
    parser.add_argument("--reason", help="only those refused for this reason, e.g. malformed_json")
    parser.add_argument("--limit", type=number(int, 0), default=100, help="show at most so many [100]")


def dead_letters_list(arguments: argparse.Namespace) -> None:
    """List refused records, the newest first."""
    kept = _open(settings_of(arguments).settings)
    total, letters = kept.find(reason=arguments.reason, limit=arguments.limit) if kept else (0, [])
    if arguments.json:
        print_json({"total": total, "dead_letters": [_document(letter) for letter in letters]})
        return
    for letter in letters:
        start = "null" if letter.value is None else letter.value[:_SHOWN_BYTES].decode(errors="backslashreplace")
        show(f"{letter.id}  {letter.reason:<18} {letter.source}:{letter.partition}:{letter.offset}  {start}")
    print(f"{total} in all")


def dead_letters_show_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters show`."""
    parser.add_argument("id", metavar="ID", help="as `dead-letters list` shows it")


def dead_letters_show(arguments: argparse.Namespace) -> int:
    """Show one refused record whole. Exit status 1 when there is none of this ID."""
    kept = _open(settings_of(arguments).settings)
    letter = kept.get(arguments.id) if kept else None
    if letter is None:
        say(f"no dead letter {arguments.id}")
        return 1
    if arguments.json:
        print_json(_document(letter))
        return 0
    for name, value in _document(letter).items():
        if name != "value_base64":
            show(f"{name:<12}{value}")
    _write_whole(letter.value or b"")
    return 0


def _write_whole(value: bytes) -> None:
    """The bytes as they are into a pipe or file; a terminal would obey what is in them."""
    if sys.stdout.isatty():
        show(value.decode(errors="backslashreplace"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(value + b"\n")


def dead_letters_replay_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters replay`."""
    parser.add_argument("--reason", help="only those refused for this reason")
    parser.add_argument("--id", metavar="ID", help="only this one")


def dead_letters_replay(arguments: argparse.Namespace) -> None:
    """Try refused records again, as `apply` would: those that are valid now are applied and leave the dead letters."""
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import delivering  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.replay import replay  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    if not adapters.is_shared(settings):
        data_directory.prepare(settings.directory)
    letters = adapters.open_dead_letters(settings)
    one = letters.get(arguments.id) if arguments.id else None
    chosen = ([one] if one else []) if arguments.id else letters.find(reason=arguments.reason)[1]
    with delivering(settings, "apply", stop_on_signals()) as delivery:
        applied = replay(chosen, letters, delivery, max_clock_ahead_ms=settings.max_clock_ahead_ms)
    if arguments.json:
        print_json({"tried": len(chosen), "applied": applied, "dead": len(chosen) - applied})
    else:
        print(f"{len(chosen)} tried, {applied} applied, {len(chosen) - applied} still refused")


def _open(settings: Settings) -> "DeadLetters | None":
    """To read only, so nothing is made or changed; None where none were made yet."""
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it

    if adapters.is_shared(settings):
        return adapters.open_dead_letters(settings)
    data_directory.check_format(settings.directory)
    there = adapters.dead_letters_path(settings).exists()
    return adapters.open_dead_letters(settings, read_only=True) if there else None


def _document(letter: "DeadLetter") -> dict[str, Any]:
    return {
        "id": letter.id,
        "reason": letter.reason,
        "detail": letter.detail,
        "source": letter.source,
        "partition": letter.partition,
        "offset": letter.offset,
        "time_ms": letter.time_ms,
        "value_base64": None if letter.value is None else base64.b64encode(letter.value).decode(),
    }
