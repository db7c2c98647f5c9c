"""What digests are made of, made ready to be read in parts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from devicesync import data_directory
from devicesync.archive.entry import Entry
from devicesync.archive.spool import Spool
from devicesync.archive.storage import Storage
from devicesync.assembly import adapters
from devicesync.assembly.digests.work import GROUPS, Task
from devicesync.assembly.pool import Pool
from devicesync.assembly.restore import work as restore_work
from devicesync.assembly.restore.run import Request, begin
from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.audit.held_ids import gather
from devicesync.jobs.digests.file import BACKUP, CACHE, DATABASE, DigestFile
from devicesync.jobs.restore.buckets import Buckets
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.jobs.shared.shares import Shares, new_key
from devicesync.url import masked


class Asked(NamedTuple):
    """What is asked for.

    path: the file to make. of: "cache", "database", or the place of a backup. against: another store's file; None for none.
    rate: at most so many devices a second, 0 for as many as it can. workers: so many processes.
    """

    path: Path
    of: str
    against: Path | None
    rate: float
    workers: int
    restart: bool


class Source(NamedTuple):
    """A store, or a backup.

    made: a file of its digests with nothing in it yet. parts: how many parts it is read in.
    prepare: what must be done before its parts are read, with a pool, and once in each directory.
    """

    made: DigestFile
    task: Task
    parts: int
    prepare: Callable[[Pool], None]


@contextmanager
def source_of(asked: Asked, settings: Settings, watcher: Watcher, directory: Path) -> Iterator[Source]:
    """The source that is asked for. Raises WrongUse, Unavailable, Damaged."""
    now_ms = SYSTEM.now_ms()
    if asked.of == DATABASE:
        yield _database(settings, directory, now_ms)
    elif asked.of == CACHE:
        yield _cache(settings, watcher, directory, now_ms)
    else:
        with _backup(asked, settings, watcher, directory) as source:
            yield source


def _database(settings: Settings, directory: Path, now_ms: int) -> Source:
    adapters.check_database_exists(settings)
    with closing(adapters.open_database(settings, read_only=True)) as database:
        database.check()
        parts = database.ranges
    made = DigestFile(DATABASE, masked(settings.database), now_ms)
    return Source(made, Task(DATABASE, str(directory)), parts, lambda pool: None)


def _cache(settings: Settings, watcher: Watcher, directory: Path, now_ms: int) -> Source:
    with closing(adapters.open_cache(settings)) as cache:
        if cache.is_private:
            raise WrongUse("a cache in memory lives in another process", "--of database; such a cache is filled from it")
        cache.check()

    def prepare(pool: Pool) -> None:
        del pool
        with closing(adapters.open_cache(settings)) as cache, watcher.bar("ids in the cache", None, unit="devices") as advance:
            gather(cache, Shares(new_key(), GROUPS).share_of, directory, {*range(GROUPS)}, advance)

    return Source(DigestFile(CACHE, masked(settings.cache), now_ms), Task(CACHE, str(directory)), GROUPS, prepare)


@contextmanager
def _backup(asked: Asked, settings: Settings, watcher: Watcher, directory: Path) -> Iterator[Source]:
    place = asked.of
    run = begin(Request(place, Selection(), False, True, asked.workers, False), settings, watcher)  # noqa: FBT003 - named in Request
    with ExitStack() as opened:
        spool = opened.enter_context(closing(Spool(settings.directory / data_directory.RESTORE_SPOOL)))
        gathering = restore_work.Task(place, run.archive.topic, Selection(), True, False, str(directory), GROUPS, str(spool.path))  # noqa: FBT003 - named in Task

        def prepare(pool: Pool) -> None:
            buckets = Buckets(directory, GROUPS)
            buckets.prepare()
            for erasures in pruned_erasures(run.archive, settings.max_clock_ahead_ms):
                buckets.add(erasures)
            writers = {buckets.flush()}
            by_name = {entry.path: (gathering, entry) for entry in run.entries}
            with watcher.bar("read the backup", run.record_bytes) as advance:
                for path, gathered in pool.each(restore_work.gather_file, by_name):
                    writers.add(gathered.writer)
                    advance(by_name[path][1].record_bytes)
            buckets.count(writers)

        made = DigestFile(BACKUP, f"{Storage(place).url}/{run.archive.topic}", ends_at_ms(run.entries), read_ms=SYSTEM.now_ms())
        yield Source(made, Task(BACKUP, str(directory)), GROUPS, prepare)


def ends_at_ms(entries: list[Entry]) -> int:
    """The time up to which all partitions are in the backup: that of the newest record in the one that is behind.

    A partition in which nothing came for days seems to be behind: nothing in a backup tells that it was read to its end since.
    Not in the future, whatever the records' times and the entries say.
    """
    newest: dict[int, int] = {}
    for entry in entries:
        last_ms = entry.closed_ms if entry.last_ms is None else entry.last_ms
        newest[entry.partition] = max(last_ms, newest.get(entry.partition, 0))
    return min(*newest.values(), SYSTEM.now_ms()) if newest else 0
