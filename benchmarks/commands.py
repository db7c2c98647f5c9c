"""devicesync's commands as processes of their own, what their /metrics say, and traffic for them."""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from real_servers import Servers

from devicesync.log.kafka import KafkaLog
from devicesync.simulation import key_of

COMMAND = [sys.executable, "-m", "devicesync"]
STEP_SECONDS = 0.05
_ADMIN = re.compile(r"admin on (http://[\d.]+:\d+)")


class Running:
    """A command that keeps running, with an admin port."""

    def __init__(self, words: list[str], where: list[str], directory: Path, group: str) -> None:
        command = [*COMMAND, *words, *where, "--admin-listen", "127.0.0.1:0", "--log-format", "text"]
        variables = {**os.environ, "DEVICESYNC_GROUP": group}
        self._process = subprocess.Popen(command, cwd=directory, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._process.stderr
        found = _ADMIN.search(self._process.stderr.readline().decode())
        assert found
        self._admin = found[1]
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def metrics(self) -> dict[str, float]:
        """Every sample, by its name and labels."""
        with urllib.request.urlopen(f"{self._admin}/metrics") as answer:  # noqa: S310 - ourselves
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}

    def cpu_seconds(self) -> float:
        """What the process spent of the processor."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()


@contextmanager
def running(words: list[str], where: list[str], directory: Path, group: str) -> Iterator[Running]:
    """A command while the body runs."""
    command = Running(words, where, directory, group)
    try:
        yield command
    finally:
        command.stop()


def told(words: list[str], where: list[str], directory: Path) -> Any:
    """The document that a command prints at its end."""
    done = subprocess.run([*COMMAND, *words, *where, "--json"], cwd=directory, stdout=subprocess.PIPE, check=False)
    assert done.returncode in (0, 1), done
    return json.loads(done.stdout)


def until(condition: Callable[[], bool]) -> None:
    """Wait."""
    while not condition():
        time.sleep(0.2)


class Traffic:
    """So many events a second of the first `devices` devices, until it is stopped. sent: how many, for `seconds`."""

    def __init__(self, log: KafkaLog, up: Servers, devices: int, rate: int) -> None:
        self._log, self._simulation, self._devices, self._rate = log, up.simulation, devices, rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent, self.seconds = 0, 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(STEP_SECONDS):
            self.seconds = time.monotonic() - began
            due = int(self.seconds * self._rate) - self.sent
            now_ms = time.time_ns() // 1_000_000
            records = [self._simulation.record(now_ms, (self.sent + at) * 7919 % self._devices) for at in range(due)]
            self._log.append(records, [key_of(record) for record in records])
            self.sent += due
