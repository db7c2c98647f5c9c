"""kill -9 at any moment, and a full disk: nothing acknowledged is lost, nothing is applied that is not in the log."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import Event, decode
from devicesync.law.profile import view
from devicesync.law.refusal import Refused
from devicesync.simulation import Simulation
from tests.end_to_end.command import COMMAND, Devicesync
from tests.law.specification import specified

EVENTS = 30_000
"""More than a process gets to before it is killed."""
DEVICES = 20_000
NO_ROOM_TO_FORGET = "the file may have former copies of what was erased"
"""Is told where an erase was among the events, on a disk that is nearly full."""
MAKE_ROOM = "make room there, or write to another place"


def expected_of(file: Path) -> dict[str, dict[str, Any]]:
    """What the set-based law says of every device in a file."""
    events: dict[str, list[Event]] = defaultdict(list)
    now_ms = time.time_ns() // 1_000_000
    for line in file.read_bytes().splitlines():
        try:
            event = decode(line, taken_ms=now_ms)
        except Refused:
            continue
        events[event.device_id].append(event)
    return {device_id: specified(of_device) for device_id, of_device in events.items()}


def differences(directory: Path, expected: dict[str, dict[str, Any]]) -> list[str]:
    """The devices of which the database says something else."""
    database = SqliteDatabase(directory / "device-profile.db", read_only=True)
    held = database.read([*expected])
    database.close()
    return [name for name, wanted in expected.items() if name not in held or not view(name, held[name]).items() >= wanted.items()]


def write_events(file: Path, count: int) -> None:
    simulation = Simulation(seed=9, devices=DEVICES, bad_share=0.01)
    now_ms = time.time_ns() // 1_000_000
    file.write_bytes(b"".join(line + b"\n" for line in simulation.records(count, now_ms - count)))


def test_kill_nine_twenty_times(devicesync: Devicesync) -> None:
    """Ten times `apply` alone and ten times `up` with an `apply` beside it, each killed somewhere; then to the end."""
    file = devicesync.directory / "events.jsonl"
    write_events(file, EVENTS)
    chance = random.Random(4)
    for turn in range(20):
        victims = [devicesync.start("up", ready=True)] if turn % 2 else []
        victims.append(devicesync.start("apply", file, ready=False))
        time.sleep(chance.uniform(0.05, 1.2))
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        for victim in victims:
            victim.communicate()
    applied = devicesync.json("apply", file)
    assert applied["read"] == EVENTS
    directory = devicesync.directory / "devicesync-data"
    assert differences(directory, expected_of(file)) == []
    in_file = set(file.read_bytes().splitlines())
    journal = b"".join(
        part.read_bytes() for part in directory.glob("device-profile.log*") if part.suffix not in {".times", ".updater", ".lock"}
    )
    assert set(journal.splitlines()) <= in_file


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 40 MB, mounted where root may do so."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", disk], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("only root may mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk(devicesync: Devicesync, small_disk: Path) -> None:
    """Each wait is said once, with a hint; when there is room again the work goes on by itself, and nothing is missing."""
    file = devicesync.directory / "events.jsonl"
    write_events(file, 8000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 35_000_000)
    process = devicesync.start("apply", file, "--json", "--data-dir", small_disk / "data", ready=False)
    assert process.stderr
    said = process.stderr.readline()
    while NO_ROOM_TO_FORGET in said:
        said = process.stderr.readline()
    assert "free some space" in said, said
    time.sleep(1)
    assert process.poll() is None
    ballast.unlink()
    out, more = process.communicate(timeout=60)
    assert process.returncode == 0, more
    assert '"read":8000' in out
    told = [msgspec.json.decode(line)["event"] for line in (said + more).splitlines() if NO_ROOM_TO_FORGET not in line]
    assert told == ["waiting", "going on"] * (len(told) // 2), more  # what a failed write gave back may do for the next one
    assert differences(small_disk / "data", expected_of(file)) == []


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["at its end", "at each line"])
@pytest.mark.parametrize(
    "command",
    ["config", "config --json", "dead-letters list", "doctor", "simulate --to - --count 1", "--help", "get --help", "--version"],
)
def test_a_full_disk_under_the_output(devicesync: Devicesync, command: str, unbuffered: str) -> None:
    """It is said, whenever Python notices it."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, *command.split()],
            cwd=devicesync.directory,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    lines = done.stderr.decode().splitlines()[-2:]
    assert lines == ["devicesync: can't use the output: No space left on device", f"  hint: {MAKE_ROOM}"]
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr
    assert b"ignored" not in done.stderr


@pytest.mark.parametrize("command", ["simulate --count 1", "enrich --from -"])
def test_a_full_disk_under_a_file_that_is_written(devicesync: Devicesync, command: str) -> None:
    """It is named."""
    done = devicesync.run(*command.split(), "--to", "/dev/full", stdin=b'{"did":"d"}\n')
    told = f"devicesync: can't use /dev/full: No space left on device\n  hint: {MAKE_ROOM}\n"
    assert (done.returncode, done.stderr.decode()) == (3, told)


@pytest.mark.parametrize("command", ["config", "simulate --to - --count 1", "--help", "get --help"])
def test_nobody_reads_the_output(devicesync: Devicesync, command: str) -> None:
    """As with `| head -1`: that is no error, and nothing is said."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as pipe:
        done = subprocess.run(
            [*COMMAND, *command.split()], cwd=devicesync.directory, stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert (done.returncode, done.stderr.decode().replace("1 registrations written\n", "")) == (141, "")


def test_nobody_reads_a_named_pipe_any_more(devicesync: Devicesync) -> None:
    """It is an output too."""
    pipe = devicesync.directory / "pipe"
    os.mkfifo(pipe)
    (devicesync.directory / "many").write_bytes(b'{"did":"d"}\n' * 20_000)
    process = devicesync.start("enrich", "--from", "many", "--to", "pipe", ready=False)
    with pipe.open("rb"):
        pass  # it can't have written all: a pipe holds less
    assert (process.wait(60), process.stderr and process.stderr.read()) == (141, "")


def test_a_broken_pipe_that_is_not_the_output_is_told() -> None:
    """Or the command would end without a word, as if nobody read it."""
    broken = (
        "from devicesync.cli import main\ndef run(words): raise BrokenPipeError(32, 'Broken pipe')\nmain.run = run\nmain.main()"
    )
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, timeout=60, check=False)
    assert (done.returncode, b"BrokenPipeError" in done.stderr) == (1, True)
