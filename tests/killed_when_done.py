"""Runs a devicesync command that kills itself with SIGKILL once n parts of a long job are done, and noted where it notes them.

python tests/killed_when_done.py WORK N COMMAND…    WORK: the function that does a part, as assembly/pool.py is given it
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from devicesync.assembly import progress
from devicesync.assembly.digests import make
from devicesync.assembly.pool import Pool
from devicesync.cli.main import run

name, times, *words = sys.argv[1:]
left = int(times)
each = Pool.each


def killing(pool: Pool, work: Callable[[Any], Any], parts: Mapping[str, Any]) -> Iterator[Any]:
    """Kill when whoever takes the results is done with the n-th."""
    global left  # noqa: PLW0603
    for result in each(pool, work, parts):
        yield result
        left -= work.__name__ == name
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


Pool.each = killing  # type: ignore[assignment,method-assign]
progress._WRITE_SECONDS = make._SAVE_SECONDS = 0.0  # each part is noted at once
if __name__ == "__main__":  # a worker process loads this too
    sys.exit(run(words))
