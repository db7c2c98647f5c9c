"""The cost of an event when the database holds a hundred times the devices.

Fills two data directories, one with 10,000 devices and one with 1,000,000, then applies the same number of events to
each, alternating, and prints the cost per event of each and their ratio. Expect at most 1.5.

    python benchmarks/size.py [--events 100000]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from figures import tell

from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.state import state_of
from devicesync.simulation import Simulation

SIZES = (10_000, 1_000_000)
CHUNK = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        directories = {size: Path(directory) / str(size) for size in SIZES}
        for size in SIZES:
            fill(directories[size], size)
        seconds: dict[int, list[float]] = {size: [] for size in SIZES}
        for turn in range(arguments.rounds):
            for size in SIZES:
                file = Path(directory) / "events"
                write_events(file, size, arguments.events, turn)
                seconds[size].append(apply(file, directories[size]))
        best = {size: min(seconds[size]) / arguments.events * 1e6 for size in SIZES}
    for size in SIZES:
        print(f"{size:>9,} devices stored: {best[size]:6.1f} µs per event (best of {arguments.rounds})")
    what = f"cost of an event at {SIZES[1]:,} stored devices, against {SIZES[0]:,}"
    tell(what, best[SIZES[1]] / best[SIZES[0]], "×", most=1.5, more=f"{best[SIZES[1]]:.1f} µs")


def device(number: int) -> str:
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def fill(directory: Path, devices: int) -> None:
    subprocess.run([sys.executable, "-m", "devicesync", "init", "--data-dir", str(directory)], check=True, capture_output=True)
    simulation = Simulation(seed=1, devices=1000, bad_share=0)
    now_ms = time.time_ns() // 1_000_000
    states = [state_of(decode(simulation.record(now_ms), taken_ms=now_ms)) for _ in range(1000)]
    database = SqliteDatabase(directory / "device-profile.db")
    ids = sorted(device(number) for number in range(devices))
    for start in range(0, devices, CHUNK):
        database.merge({name: states[spot % 1000] for spot, name in enumerate(ids[start : start + CHUNK])})
    database.close()


def write_events(file: Path, devices: int, count: int, turn: int) -> None:
    simulation = Simulation(seed=turn, devices=10_000, bad_share=0)
    now_ms = time.time_ns() // 1_000_000
    with file.open("wb") as out:
        for number in range(count):
            event = msgspec.json.decode(simulation.record(now_ms))
            event["device_id"] = device((number * 7919 + turn) % devices if devices > count else number % devices)
            out.write(msgspec.json.encode(event) + b"\n")


def apply(file: Path, directory: Path) -> float:
    command = [sys.executable, "-m", "devicesync", "apply", str(file), "--data-dir", str(directory), "--json"]
    done = subprocess.run(command, check=True, capture_output=True)
    return float(msgspec.json.decode(done.stdout)["seconds"])


if __name__ == "__main__":
    main()
