"""How many files a backup may have open at once. Each partition has its own, and the system has a limit."""

import resource
from collections.abc import Iterator

from devicesync.jobs.backup.partition_backup import PartitionBackup

_ENOUGH = 65_536
_FOR_ALL_ELSE = 64
_OF_A_FILE = 3
_FEWEST = 4


def files_at_once() -> int:
    """Raise the process' limit as far as possible. Return how many files the backup may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max((limit - _FOR_ALL_ELSE) // _OF_A_FILE, _FEWEST)


def in_turns(parts: list[PartitionBackup], most_files: int) -> Iterator[list[PartitionBackup]]:
    """Divide the partitions, so that closing one group at a time opens at most about this many files."""
    some: list[PartitionBackup] = []
    for part in parts:
        if some and sum(len(each.days) for each in (*some, part)) > most_files:
            yield some
            some = []
        some.append(part)
    if some:
        yield some
