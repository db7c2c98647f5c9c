"""How many files a backup may have open at once: each partition has its own, and the system limits them."""

import resource
from collections.abc import Iterator

from devicesync.jobs.backup.partition_backup import PartitionBackup

_ENOUGH = 65_536
_FOR_ALL_ELSE = 64
_OF_A_FILE = 3
_FEWEST = 4


def files_at_once() -> int:
    """So many files of the backup, after this process has been allowed as many descriptors as it may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max((limit - _FOR_ALL_ELSE) // _OF_A_FILE, _FEWEST)


def in_turns(parts: list[PartitionBackup], most_files: int) -> Iterator[list[PartitionBackup]]:
    """The parts, divided so that closing some at once opens about so many files at most."""
    some: list[PartitionBackup] = []
    for part in parts:
        if some and sum(len(each.days) for each in (*some, part)) > most_files:
            yield some
            some = []
        some.append(part)
    if some:
        yield some
