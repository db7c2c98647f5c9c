"""`make soak MINUTES=20`: see __init__. Ends with a table and a line of JSON; exit status 1 where anything is not as it must be.

PYTHONPATH=.:benchmarks python -m soak [--minutes 20] [--seed 1]
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from soak.run import Soak
from soak.system import System


def main() -> int:
    """1 where something is wrong, else 0."""
    parser = argparse.ArgumentParser("make soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the load and of the order of the faults [1]")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = Path(tempfile.mkdtemp(prefix="devicesync-soak-"))
    system = System(directory)
    soak = Soak(system, arguments.minutes * 60, arguments.seed)
    try:
        system.start_servers()
        soak.run()
    finally:
        soak.wrong += system.stop()
        if soak.wrong:
            print(f"what the processes said is in {directory}/*.log", flush=True)
        else:
            shutil.rmtree(directory)
    soak.report()
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
