"""`make bench`: every part, or those that are named; says beforehand how long each takes, and afterwards how long it took.

PYTHONPATH=. python benchmarks/run.py [PART …]
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

MINUTES = {"embedded": 3, "size": 1, "stack": 5, "api": 3, "backup": 5, "enrich": 3, "enrich_kafka": 3}
"""Of each part, about, on two cores that do nothing else."""


def main() -> int:
    """The exit status of the first part that failed, else 0."""
    parser = argparse.ArgumentParser("make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*MINUTES, []], metavar="PART", help=f"of {', '.join(MINUTES)} [all]")
    parts = parser.parse_args().parts or [*MINUTES]
    here = Path(__file__).parent
    print(f"{', '.join(parts)}: about {sum(MINUTES[part] for part in parts)} minutes; PART={parts[-1]} runs one", flush=True)
    status = 0
    for part in parts:
        print(f"\n== {part}: about {MINUTES[part]} minutes", flush=True)
        began = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": str(here.parent)}
        done = subprocess.run([sys.executable, here / f"{part}.py"], check=False, env=environment)
        print(f"== {part} took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        status = status or done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
