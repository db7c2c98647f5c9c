"""Runs a devicesync command, or a script of tests with one, on a machine whose clock is behind by so many seconds.

python tests/clock_behind.py SECONDS [SCRIPT ARGUMENTS…] COMMAND…
"""

import os
import runpy
import sys
import time

from devicesync.cli.main import main
from devicesync.clock import SYSTEM

_SECONDS = "CLOCK_BEHIND_SECONDS"
if _SECONDS not in os.environ:  # a worker process, which loads this too, has it, and these words
    os.environ[_SECONDS], *words = sys.argv[1:]
    sys.argv = words if words[0].endswith(".py") else [__file__, *words]
behind_ns = int(os.environ[_SECONDS]) * 1_000_000_000
SYSTEM.now_us = lambda: (time.time_ns() - behind_ns) // 1000  # type: ignore[method-assign]
SYSTEM.now_ms = lambda: (time.time_ns() - behind_ns) // 1_000_000  # type: ignore[method-assign]
if sys.argv[0] != __file__:
    runpy.run_path(sys.argv[0], run_name=__name__)
elif __name__ == "__main__":
    main()
