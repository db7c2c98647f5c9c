"""`update --workers N`: one process per core, in one consumer group. Kafka shares the work out; we only start and stop."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
import structlog

from devicesync.assembly import adapters, named_log
from devicesync.assembly.parent import ending_with_this_process
from devicesync.clock import SYSTEM
from devicesync.config import Settings, host_and_port
from devicesync.errors import WrongUse

_TOLD_SECONDS = 1.0
"""Who stops a service tells each of its processes in turn."""
_log: Any = structlog.get_logger("devicesync")


class Ended(NamedTuple):
    """The exit status of the first worker that failed, else 0; and what their documents add up to."""

    status: int
    document: dict[str, Any]


def run_workers(
    settings: Settings, count: int, words: Sequence[str], admin_listen: str | None, *, collect: bool, catch_up: bool
) -> Ended:
    """Run this command of devicesync in so many processes until they end. SIGTERM and Ctrl-C are passed on.

    admin_listen: HOST:PORT of the first one's admin port; the others get the ports after it.
    When one fails, or is stopped alone, the others are stopped: a supervisor then starts all anew. collect: add up the documents
    that they print. catch_up: each ends by itself when it has caught up.

    Raises WrongUse where the log has one reader.
    """
    if not named_log.is_shared(settings):
        raise WrongUse("--workers needs a Kafka log: a journal has one reader", "leave --workers out, or set --log kafka://…")
    adapters.check_cache(settings)
    workers: dict[int, subprocess.Popen[bytes]] = {}
    stopping = False
    tie = ending_with_this_process()

    def stop_all(*_: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)  # and not by Popen, which would take the status of one that has just ended

    signal.signal(signal.SIGTERM, stop_all)
    signal.signal(signal.SIGINT, stop_all)
    for number in range(count):
        command = [sys.executable, "-m", "devicesync", *words, *_admin_words(admin_listen, number)]
        output = subprocess.PIPE if collect else None
        started = subprocess.Popen(command, stdout=output, preexec_fn=tie)  # noqa: S603, PLW1509 - ourselves; no threads yet
        workers[started.pid] = started
    if stopping:
        stop_all()
    status = 0
    printed = []
    while workers:
        pid, code = os.wait()
        ended, failed = workers.pop(pid, None), os.waitstatus_to_exitcode(code)
        if ended and ended.stdout:
            printed.append(ended.stdout.read())
        if ended and not (failed or catch_up or stopping):
            SYSTEM.sleep(_TOLD_SECONDS)
            failed = 0 if stopping else -signal.SIGTERM
        if ended and failed and not (stopping and failed == -signal.SIGTERM):
            status = status or _status_of(failed, say=not stopping)
            stop_all()
    return Ended(status, _added(printed))


def _status_of(failed: int, *, say: bool) -> int:
    """What the exit status of a worker, or minus the signal that ended it, makes of ours. say: in the log."""
    if say and failed > 0:
        _log.error("a worker failed: the others are stopped too", status=failed)
    elif say:
        hint = "to stop them all, stop their parent; where the system ran out of memory, its log says so"
        _log.error("a worker was stopped alone: the others are stopped too", signal=signal.Signals(-failed).name, hint=hint)
    return failed if failed > 0 else 3


def _added(documents: list[bytes]) -> dict[str, Any]:
    """One document of those that the workers printed."""
    total: dict[str, Any] = {"read": 0, "applied": 0, "dead": 0, "dead_reasons": Counter()}
    for document in filter(None, documents):
        for name, value in msgspec.json.decode(document).items():
            total[name] += Counter(value) if isinstance(value, dict) else value
    return total


def _admin_words(admin_listen: str | None, number: int) -> list[str]:
    if admin_listen is None:
        return []
    host, port = host_and_port("admin_listen", admin_listen)
    port += number if port else 0
    return ["--admin-listen", f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
