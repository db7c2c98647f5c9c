"""`dead-letters delete`: forget refused records, for good."""

import argparse
import time
from typing import TYPE_CHECKING

from devicesync.cli.options import number, print_json, settings_of

if TYPE_CHECKING:
    from devicesync.dead_letters.port import DeadLetters

_DAY_MS = 86_400_000
_MOST_DAYS = 100_000


def dead_letters_delete_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dead-letters delete`."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="this one, as `dead-letters list` shows it")
    which.add_argument("--reason", help="all that were refused for this reason")
    which.add_argument("--older-than", metavar="DAYS", type=number(float, 0, _MOST_DAYS), help="all that the log took longer ago")


def dead_letters_delete(arguments: argparse.Namespace) -> int:
    """Delete refused records: one, those of a reason, or old ones. Exit status 1 when there are none.

    Of a journal they are gone from the disk. In Kafka --older-than cuts them off the topic; what is deleted otherwise is not
    shown any more, and its bytes go with the topic's retention. By themselves they go after `dead_letter_retention_seconds`.
    """
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it

    settings = settings_of(arguments).settings
    if not adapters.is_shared(settings):
        data_directory.prepare(settings.directory)
    deleted = _delete(arguments, adapters.open_dead_letters(settings))
    if arguments.json:
        print_json({"deleted": deleted})
    else:
        print(f"{deleted} deleted")
    return 0 if deleted else 1


def _delete(arguments: argparse.Namespace, letters: "DeadLetters") -> int:
    if arguments.older_than is not None:
        return letters.remove_older(time.time_ns() // 1_000_000 - int(arguments.older_than * _DAY_MS))
    one = letters.get(arguments.id) if arguments.id else None
    chosen = ([one] if one else []) if arguments.id else letters.find(reason=arguments.reason)[1]
    letters.remove([letter.id for letter in chosen])
    return len(chosen)
