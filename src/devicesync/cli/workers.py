"""`update --workers N`: one process per core, in one consumer group. Kafka shares the work out; we only start and stop."""

import os
import signal
import subprocess
import sys

from devicesync import adapters
from devicesync.config import Settings
from devicesync.errors import WrongUse


def run_workers(count: int, settings: Settings) -> int:
    """Run `devicesync update` so many times until they end; the exit status is that of the first that failed.

    SIGTERM and Ctrl-C are passed on. When one fails, the others are stopped: a supervisor then starts all anew.
    """
    if not adapters.is_shared(settings):
        raise WrongUse("--workers needs a Kafka log: a journal has one reader", "leave --workers out, or set --log kafka://…")
    words = _without_workers(sys.argv[1:])
    workers: dict[int, subprocess.Popen[bytes]] = {}
    stopping = False

    def stop_all(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for process in workers.values():
            process.terminate()

    signal.signal(signal.SIGTERM, stop_all)
    signal.signal(signal.SIGINT, stop_all)
    for _ in range(count):
        started = subprocess.Popen([sys.executable, "-m", "devicesync", *words])  # noqa: S603 - ourselves
        workers[started.pid] = started
    if stopping:
        stop_all()
    status = 0
    while workers:
        pid, code = os.wait()
        failed = os.waitstatus_to_exitcode(code)
        if workers.pop(pid, None) and failed and not (stopping and failed == -signal.SIGTERM):
            status = status or (failed if failed > 0 else 3)
            stop_all()
    return status


def _without_workers(words: list[str]) -> list[str]:
    kept = []
    rest = iter(words)
    for word in rest:
        if word == "--workers":
            next(rest, None)
        elif not word.startswith("--workers="):
            kept.append(word)
    return kept
