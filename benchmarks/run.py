"""`make bench`: every part, or those that are named; says beforehand how long each takes, and afterwards how long it took.

Each part tells its figures with their aims, a line of JSON each. From these come benchmarks/results/*.md and the README's table.

PYTHONPATH=. python benchmarks/run.py [PART …]
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import report

MINUTES = {
    "embedded": 3,
    "size": 1,
    "stack": 4,
    "waiting": 3,
    "workers": 3,
    "api": 3,
    "backup": 5,
    "enrich": 3,
    "enrich_kafka": 3,
    "audit": 4,
    "planted": 5,
    "status": 1,
}
"""Of each part, about, on two cores that do nothing else."""
BESIDE_THE_PATH = {"audit", "planted", "status"}
"""Parts about what watches the data's path. The README has those of the path itself."""


def main() -> int:
    """The exit status of the first part that failed, else 0: an aim that was missed is told, and is no failure."""
    parser = argparse.ArgumentParser("make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*MINUTES, []], metavar="PART", help=f"of {', '.join(MINUTES)} [all]")
    parts = parser.parse_args().parts or [*MINUTES]
    print(f"{', '.join(parts)}: about {sum(MINUTES[part] for part in parts)} minutes; PART={parts[-1]} runs one", flush=True)
    status = 0
    for part in parts:
        print(f"\n== {part}: about {MINUTES[part]} minutes", flush=True)
        began = time.monotonic()
        output, of_part = run(Path(__file__).parent / f"{part}.py")
        print(f"== {part} took {(time.monotonic() - began) / 60:.1f} minutes", flush=True)
        status = status or of_part
        if not of_part:
            report.keep(part, output)
    report.write_readme([part for part in MINUTES if part not in BESIDE_THE_PATH])
    return status


def run(script: Path) -> tuple[str, int]:
    """What it prints, printed too, and its exit status."""
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent)}
    lines = []
    with subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    return "".join(lines), child.returncode


if __name__ == "__main__":
    sys.exit(main())
