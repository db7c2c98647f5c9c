"""Running devicesync as a user does: the command in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "devicesync"]
WAIT_SECONDS = 120.0
"""After which a test that waits is taken for hanging, on however busy a machine."""
KILLED_AT = Path(__file__).parents[1] / "killed_at.py"


def delete_database(directory: Path) -> None:
    """Lose the embedded database of the commands that run in this directory."""
    for file in (directory / "devicesync-data").glob("device-profile.db*"):
        file.unlink()


class Devicesync:
    """devicesync commands in one working directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: list[subprocess.Popen[str]] = []

    def run(
        self, *arguments: str | Path, stdin: bytes | None = None, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """One command to its end; its status, stdout and stderr."""
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            check=False,
            env=_environment(variables or {}),
            timeout=WAIT_SECONDS,
        )

    def json(self, *arguments: str | Path, status: int = 0, stdin: bytes | None = None) -> Any:
        """The document that a command prints with --json, after checking its exit status."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.returncode == status, done.stderr.decode()
        assert done.stdout.count(b"\n") == 1
        return json.loads(done.stdout)

    def start(
        self, *arguments: str | Path, ready: bool = True, stderr: int = subprocess.PIPE, variables: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """A command that goes on running; stopped at the end of the test. ready: wait until it says what it does."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=_environment(variables or {}),
        )
        self._running.append(process)
        if ready:
            assert process.stderr
            line = process.stderr.readline()
            assert "devicesync " in line, line
        return process

    def killed_at(self, step: str, times: int, *arguments: str) -> None:
        """A `backup run` that kills itself with SIGKILL when it reaches a step for the n-th time."""
        killed = subprocess.run(
            [sys.executable, KILLED_AT, step, str(times), "backup", "run", *arguments],
            cwd=self.directory,
            capture_output=True,
            check=False,
            env=_environment({}),
            timeout=WAIT_SECONDS,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr

    def stop_all(self) -> None:
        """Kill what is still running."""
        for process in self._running:
            process.kill()
            process.communicate()


def until(condition: Callable[[], Any]) -> Any:
    """What `condition` returns once it is true; fails after WAIT_SECONDS."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return result


def stopped(process: "subprocess.Popen[str]") -> int:
    """Its exit status after SIGTERM, sent once it has a handler for it: before, no program can do better than die."""
    until(lambda: process.poll() is not None or catches(process.pid, signal.SIGTERM))
    process.terminate()
    status = process.wait(WAIT_SECONDS)
    if status and process.stderr:
        print(process.stderr.read())  # noqa: T201 - pytest shows it where the test fails
    return status


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def _environment(variables: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DEVICESYNC_")}
    ports = {"DEVICESYNC_LISTEN": "127.0.0.1:0", "DEVICESYNC_ADMIN_LISTEN": "127.0.0.1:0"}
    return clean | ports | variables
