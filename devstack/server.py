"""A server process: started in its own directory on free ports, known to be ready, stopped without leftovers."""

import ctypes
import fcntl
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_READY_SECONDS = 300.0
_STOP_SECONDS = 20.0
_TOLD = 4000
_PORTS = range(10_000, 22_000)  # Linux gives away those from 32,768 on
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Missing(Exception):
    """Something that a server needs is not on this machine; the message says how to get it."""


class Server:
    """One server. `restart` and `pause` are for fault tests."""

    def __init__(
        self,
        name: str,
        directory: Path,
        command: Sequence[str],
        ready: Callable[[], bool],
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.directory = directory
        self._command = list(command)
        self._ready = ready
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start, and with `wait` return when it answers. Raises RuntimeError with the end of its output when it does not."""
        self._output = (self.directory / "output.log").open("ab")
        self._process = subprocess.Popen(
            self._command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT,
            env=self._environment, start_new_session=True, preexec_fn=_end_with_parent,  # noqa: PLW1509 - it only calls prctl
        )  # fmt: skip
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Return when it answers."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"{self.name} did not get ready:\n{self.told()}")
            time.sleep(0.1)

    def told(self) -> str:
        """The end of its output, and how it ended, if it did by itself."""
        output = self.directory / "output.log"
        ended = self._process.poll() if self._process else None
        told = output.read_text(errors="replace")[-_TOLD:] if output.exists() else ""
        return told if ended is None else f"{told}\nit ended with {ended}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, with its children; harmless when it is stopped already."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        if self._output:
            self._output.close()
        self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return self._ready()
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, number)


def _end_with_parent() -> None:
    """Asks Linux to end this server when the thread that started it ends, however it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def ports(directory: Path, count: int, beside: int = 0, *, runs: bool = False) -> list[int]:
    """The ports of the server with this directory: those it had before, else free ones, which are kept in it.

    beside: each port so far above one of them is free too.
    runs: the server runs already, and has them.
    Raises Missing where somebody else has taken one of them.
    """
    kept = directory / "ports"
    if not kept.exists():
        kept.write_text(" ".join(map(str, free_ports(count, beside))))
    found = [int(port) for port in kept.read_text().split()]
    for port in found if not runs else ():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            raise Missing(f"port {port}, that {directory} had before, can't be had: {error.strerror}; remove {kept}") from None
    return found


def free_ports(count: int, beside: int = 0) -> list[int]:
    """Ports of this machine that nobody listens on; nor on those so far above them.

    None of those that Linux gives to connections: a server that is stopped for a while finds its port free when it comes back.
    Nor of those that another process was given and whose server does not listen yet: that may take a minute.
    """
    found = random.SystemRandom().sample(_PORTS, len(_PORTS))
    free = (port for port in found if all(_is_free(each) and _takes(each) for each in {port, port + beside}))
    return list(itertools.islice(free, count))


def _takes(port: int) -> bool:
    """Whether this process gets the port's lock, which it keeps until it ends."""
    directory = Path(tempfile.gettempdir()) / f"devicesync-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    lock = os.open(directory / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except (OSError, OverflowError):
        return False
    return True


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def program(name: str, how: str) -> str:
    """The path of a program. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed; {how}")
    return found
