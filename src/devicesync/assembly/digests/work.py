"""What a worker process does with a part of a store whose digests are made."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devicesync.assembly import adapters
from devicesync.assembly.pool import kept, patiently, worker_settings
from devicesync.jobs.audit.held_ids import gathered
from devicesync.jobs.audit.pace import Pace
from devicesync.jobs.digests.file import CACHE, DATABASE
from devicesync.jobs.digests.reading import in_cache, in_database, in_states
from devicesync.jobs.digests.sums import DeviceDigest, Digests, digests_of
from devicesync.jobs.restore.buckets import Buckets
from devicesync.law.seen import Seen

if TYPE_CHECKING:
    from devicesync.cache.port import Cache
    from devicesync.database.port import Database

GROUPS = 256
"""In how many parts a cache, or a backup, is read."""


class Task(NamedTuple):
    """What a worker is told with each part.

    of: CACHE, DATABASE or BACKUP. directory: what was made ready. wanted: the buckets to read again; None: the first time, all.
    rate: at most so many devices a second, 0 for as many as it can.
    """

    of: str
    directory: str
    wanted: frozenset[int] | None = None
    rate: float = 0.0


def sums_of(part: tuple[Task, int]) -> tuple[int, tuple[bytes, bytes]]:
    """The sums of a part, packed. Repeating it is harmless."""
    task, number = part

    def once() -> tuple[bytes, bytes]:
        digests = Digests()
        for page in _paced(task, number):
            for device in digests_of(page):
                digests.add(device)
        return digests.packed

    return number, patiently(once)


def devices_of(part: tuple[Task, int]) -> tuple[int, list[DeviceDigest]]:
    """The devices of the wanted buckets in a part. Repeating it is harmless."""
    task, number = part

    def once() -> list[DeviceDigest]:
        found = {device.device_id: device for page in _paced(task, number) for device in digests_of(page)}
        return [*found.values()]

    return number, patiently(once)


def _paced(task: Task, number: int) -> Iterator[Mapping[str, Seen]]:
    pace: Pace = kept("pace", lambda: Pace(task.rate))
    for page in _pages(task, number):
        yield page
        pace.passed(len(page))


def _pages(task: Task, number: int) -> Iterator[Mapping[str, Seen]]:
    directory = Path(task.directory)
    if task.of == DATABASE:
        database: Database = kept("database", lambda: adapters.open_database(worker_settings(), read_only=True))
        return in_database(number, database, task.wanted)
    if task.of == CACHE:
        cache: Cache = kept("cache", lambda: adapters.open_cache(worker_settings()))
        return in_cache(gathered(directory, number), cache, task.wanted)
    return in_states(Buckets(directory, GROUPS).read(number), task.wanted)
