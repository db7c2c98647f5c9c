"""File descriptors: raise the limit, keep some that are not for connections, and notice when none is left."""

import errno
import os
import resource

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


def are_used_up() -> bool:
    """Whether no more can be opened. Then new connections wait without a message."""
    try:
        os.close(os.dup(2))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False
