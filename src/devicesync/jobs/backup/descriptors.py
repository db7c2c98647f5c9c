"""How many files a backup may have open at once: each partition has its own, and the system limits them."""

import resource

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
