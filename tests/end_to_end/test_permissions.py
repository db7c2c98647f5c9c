"""Directories that this user may not write, or not even enter: sentences, and readers that need no write access."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.command import COMMAND, Devicesync

SOMEBODY = 65_534
_POWERS = "-dac_override,-dac_read_search,-fowner"


def as_other_user(directory: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command by someone who may do no more than the files' modes say, root or not."""
    powerless = ["setpriv", "--bounding-set", _POWERS, "--inh-caps", _POWERS] if os.geteuid() == 0 else []
    command = [*powerless, *COMMAND, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, check=False, text=True, timeout=120)


@pytest.fixture
def foreign(devicesync: Devicesync, seed: Path) -> Iterator[Path]:
    """A working directory whose data directory is another user's, with a device and a dead letter in it."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root without setpriv may write everything")
    seed.write_bytes(seed.read_bytes() + b"bad\n")
    devicesync.run("apply", seed)
    data = devicesync.directory / "devicesync-data"
    for path in (*data.iterdir(), data):
        path.chmod(0o555 if path.is_dir() else 0o444)
        if os.geteuid() == 0:
            os.chown(path, SOMEBODY, SOMEBODY)
    (devicesync.directory / "closed").mkdir(mode=0o000)
    if os.geteuid() == 0:
        os.chown(devicesync.directory / "closed", SOMEBODY, SOMEBODY)
    yield devicesync.directory
    for path in (data, devicesync.directory / "closed"):
        path.chmod(stat.S_IRWXU)


def test_readers_need_no_write_access(foreign: Path) -> None:
    """`get` from either store, `dead-letters list` and `doctor` read what is there."""
    assert "Bengaluru" in as_other_user(foreign, "get", "232455").stdout
    assert "Bengaluru" in as_other_user(foreign, "get", "232455", "--from", "database").stdout
    assert "malformed_json" in as_other_user(foreign, "dead-letters", "list").stdout
    told = as_other_user(foreign, "doctor").stdout
    assert "1 refused records" in told
    assert "is not writable" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("up",),
        ("update",),
        ("api",),
        ("apply", "seed.jsonl"),
        ("erase", "232455"),
        ("simulate", "--count", "1"),
        ("init",),
        ("dead-letters", "replay"),
        ("backup", "run", "--to", "backup"),
        ("ship", "--ship-to", "kafka://127.0.0.1:1/t"),
        ("get", "d", "--data-dir", "closed/x"),
        ("doctor", "--data-dir", "closed/x"),
        ("erase", "d", "--data-dir", "closed/x"),
        ("up", "--data-dir", "closed/x"),
        ("up", "--log", "follow:closed/x"),
    ],
)
def test_writers_say_what_they_may_not_use(foreign: Path, arguments: tuple[str, ...]) -> None:
    """Exit 3, one sentence that names the place, and no trace of the code."""
    done = as_other_user(foreign, *arguments)
    told = done.stdout + done.stderr
    assert done.returncode == 3, told
    assert "devicesync-data" in told or "closed/x" in told
    assert "ermission" in told
    assert "Traceback" not in told
