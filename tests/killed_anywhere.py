"""Runs a devicesync command that kills itself with SIGKILL when it is about to change the disk for the n-th time.

python tests/killed_anywhere.py N COMMAND…    Opening a file to write, SQLite's too, a new name, a removed one: each is a change.
"""

import os
import signal
import sys
from typing import Any

from devicesync.cli.main import run

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "sqlite3.connect"}
left = int(sys.argv[1])


def on_event(event: str, given: tuple[Any, ...]) -> None:
    """Kill at the n-th change."""
    global left  # noqa: PLW0603
    if event in CHANGES or (event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":  # a worker process loads this too
    sys.addaudithook(on_event)
    sys.exit(run(sys.argv[2:]))
