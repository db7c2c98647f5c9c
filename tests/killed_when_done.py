"""Runs a devicesync command that kills itself with SIGKILL once n parts of a long job (assembly/progress.py) are noted as done.

python tests/killed_when_done.py N COMMAND…
"""

import os
import signal
import sys
from typing import Any

from devicesync.assembly.progress import Progress
from devicesync.cli.main import run

times, *words = sys.argv[1:]
note = Progress.done


def done(progress: Progress, name: str, result: Any) -> None:
    """Kill at the n-th part, with all of them in the file."""
    note(progress, name, result)
    if len(progress.results) == int(times):
        progress.begin()
        os.kill(os.getpid(), signal.SIGKILL)


Progress.done = done  # type: ignore[assignment,method-assign]
if __name__ == "__main__":  # a worker process loads this too
    sys.exit(run(words))
