"""Runs a devicesync command that kills itself with SIGKILL when its backup reaches a step for the n-th time.

python tests/killed_at.py STEP N COMMAND…
"""

import os
import signal
import sys

from devicesync.cli.main import run
from devicesync.jobs.backup.run import Backup

step, times, *words = sys.argv[1:]
left = int(times)


def on_step(name: str) -> None:
    """Kill at the n-th time."""
    global left  # noqa: PLW0603
    left -= name == step
    if name == step and not left:
        os.kill(os.getpid(), signal.SIGKILL)


Backup.on_step = staticmethod(on_step)
sys.exit(run(words))
