"""Running devicesync as a user does: the command in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests import loaded

COMMAND = [sys.executable, "-m", "devicesync"]
WAIT_SECONDS = 300.0
"""After which a test that waits is taken for hanging, on however busy a machine."""
KILLED_AT = Path(__file__).parents[1] / "killed_at.py"
FROZEN_AT_ASSIGNMENT = Path(__file__).parents[1] / "frozen_at_assignment.py"


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
        return self._run(["devicesync", *arguments], stdin, variables or {})

    def json(self, *arguments: str | Path, status: int = 0, stdin: bytes | None = None) -> Any:
        """The document that a command prints with --json, after checking its exit status."""
        done = self.run(*arguments, "--json", stdin=stdin)
        assert done.returncode == status, f"it ended with {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}"
        assert done.stdout.count(b"\n") == 1
        return json.loads(done.stdout)

    def start(
        self,
        *arguments: str | Path,
        ready: bool = True,
        stderr: int = subprocess.PIPE,
        variables: dict[str, str] | None = None,
        whole: bool = False,
        by: str | Path = "devicesync",
    ) -> subprocess.Popen[str]:
        """A command that goes on running; stopped at the end of the test.

        ready: wait until it says what it does. whole: it loads its code itself, as a user's command does (tests/loaded.py).
        by: a script that watches or hurts it.
        """
        begin, command = (subprocess.Popen, COMMAND) if whole else (loaded.Popen, [by])
        process = begin(
            [*command, *arguments],
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

    def run_by(self, script: Path, *arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """One command to its end, as run() has it, by a script that watches or hurts it."""
        return self._run([script, *arguments], stdin, {})

    def killed_at(self, step: str, times: int, *arguments: str) -> None:
        """A `backup run` that kills itself with SIGKILL when it reaches a step for the n-th time."""
        killed = self.run_by(KILLED_AT, step, str(times), "backup", "run", *arguments)
        assert killed.returncode == -signal.SIGKILL, killed.stderr

    def _run(
        self, words: Sequence[str | Path], stdin: bytes | None, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        pipe = subprocess.PIPE
        with loaded.Popen(
            words,
            stdin=None if stdin is None else pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self.directory,
            env=_environment(variables),
        ) as process:
            try:
                told = process.communicate(stdin, WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, *told)

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


def is_frozen(process: "subprocess.Popen[str]") -> bool:
    """Whether it was frozen (SIGSTOP), and is so still."""
    return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def _environment(variables: dict[str, str]) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DEVICESYNC_")}
    ports = {"DEVICESYNC_LISTEN": "127.0.0.1:0", "DEVICESYNC_ADMIN_LISTEN": "127.0.0.1:0"}
    return clean | ports | variables
