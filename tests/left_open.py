"""Runs a devicesync command, and prints as its last line on stderr what it opened and did not close.

python tests/left_open.py COMMAND…
"""

import sys
from typing import Any

from devicesync.cache.memory import MemoryCache
from devicesync.cli.main import main
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.log.foreign import ForeignLog
from devicesync.log.journal import Journal, JournalReader

opened: dict[int, Any] = {}


def watch(kind: Any) -> None:
    """Note each that is opened, until it is closed."""
    make, close = kind.__init__, kind.close

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:  # noqa: N807 - it takes the place of one
        make(self, *arguments, **named)
        opened[id(self)] = self

    def closed(self: Any) -> None:
        close(self)
        opened.pop(id(self), None)

    kind.__init__, kind.close = __init__, closed


if __name__ == "__main__":
    for each in (MemoryCache, SqliteDatabase, SqliteDeadLetters, ForeignLog, Journal, JournalReader):
        watch(each)
    try:
        main()
    finally:
        left = sorted(type(each).__name__ for each in opened.values())
        sys.stderr.write(f"{' '.join(['left open:', *left])}\n")
