"""File descriptors: raise the limit, keep some that are not for connections, and notice when none is left."""

import errno
import os
import resource
from collections.abc import Callable
from typing import Any

import structlog

_log: Any = structlog.get_logger("devicesync")

KEPT = 256
"""Never used by connections within max_connections: for those that are ending or just accepted, the admin port, the log,
the stores, new files."""


def raise_limit(connections: int) -> int:
    """Raise the soft limit for so many connections, up to the hard limit. Return for how many there is room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + KEPT
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    if soft == resource.RLIM_INFINITY:
        return connections
    return min(connections, max(soft - KEPT, soft // 2))


def teller() -> Callable[[], None]:
    """Return a function that says it once in the log when no more can be opened. New connections would wait without a message."""
    said = False

    def look() -> None:
        nonlocal said
        used_up = _are_used_up()
        if used_up and not said:
            _log.error("no file descriptors are left: new connections wait", hint="raise the limit (ulimit -n, LimitNOFILE)")
        said = used_up

    return look


def _are_used_up() -> bool:
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
