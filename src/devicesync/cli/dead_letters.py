"""`dead-letters`: list, show, replay or delete refused records."""

import argparse
from typing import TYPE_CHECKING

from devicesync.cli.options import number
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetter

_SHOWN_BYTES = 60


def dead_letters_list_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters list`."""
    parser.add_argument("--reason", help="only those refused for this reason, e.g. malformed_json")
    parser.add_argument("--limit", type=number(int, 0), default=100, help="show at most this many [100]")


def dead_letters_list(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """List refused records, the newest first."""
    from devicesync.assembly import dead_letters

    total, letters = dead_letters.find(settings, reason=arguments.reason, limit=arguments.limit)
    lines = [*map(_line, letters), f"{total} in all"]
    return Outcome({"total": total, "dead_letters": [*map(dead_letters.document, letters)]}, lines)


def dead_letters_show_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters show`."""
    parser.add_argument("id", metavar="ID", help="as `dead-letters list` shows it")


def dead_letters_show(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Show one refused record whole. Exit status 1 when there is none with this ID."""
    from devicesync.assembly import dead_letters

    letter = dead_letters.get(settings, arguments.id)
    if letter is None:
        return Outcome(remark=f"no dead letter {arguments.id}", status=1)
    document = dead_letters.document(letter)
    lines = [f"{name:<12}{value}" for name, value in document.items() if name != "value_base64"]
    return Outcome(document, lines, data=letter.value or b"")


def dead_letters_replay_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters replay`."""
    parser.add_argument("--reason", help="only those refused for this reason")
    parser.add_argument("--id", metavar="ID", help="only this one")


def dead_letters_replay(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Try refused records again, as `apply` would. Those that are valid now are applied and leave the dead letters."""
    from devicesync.assembly import dead_letters
    from devicesync.cli.process import stop_on_signals

    tried, applied = dead_letters.replay(settings, arguments.id, arguments.reason, stop_on_signals())
    document = {"tried": tried, "applied": applied, "dead": tried - applied}
    return Outcome(document, [f"{tried} tried, {applied} applied, {tried - applied} still refused"])


def dead_letters_delete_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters delete`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="this one, as `dead-letters list` shows it")
    which.add_argument("--reason", help="all that were refused for this reason")
    which.add_argument("--older-than", metavar="DAYS", type=number(float, 0, 100_000), help="all that are older than this")


def dead_letters_delete(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Delete refused records: one, those of a reason, or old ones. Exit status 1 when there are none.

    With a journal they are gone from the disk. With Kafka, --older-than cuts them off the topic. The other ways hide them,
    and their bytes go with the topic's retention. Every refused record goes by itself after `dead_letter_retention_seconds`.
    """
    from devicesync.assembly import dead_letters

    deleted = dead_letters.delete(settings, arguments.id, arguments.reason, arguments.older_than)
    return Outcome({"deleted": deleted}, [f"{deleted} deleted"], status=0 if deleted else 1)


def _line(letter: "DeadLetter") -> str:
    start = "null" if letter.value is None else letter.value[:_SHOWN_BYTES].decode(errors="backslashreplace")
    return f"{letter.id}  {letter.reason:<18} {letter.source}:{letter.partition}:{letter.offset}  {start}"
