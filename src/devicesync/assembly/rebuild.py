"""`rebuild`: the cache from the database, by several processes, resumable."""

from contextlib import closing
from typing import Any, NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.assembly.pool import Pool, patiently, stores
from devicesync.assembly.progress import Progress
from devicesync.assembly.watcher import Watcher
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.jobs.rebuild import rebuild_range
from devicesync.url import masked


class Rebuilt(NamedTuple):
    """How many devices; in how many parts; whether an earlier run had begun; and when the first one began, in ms since 1970.

    Where it goes on, what the cache lost since then may be missing in it.
    """

    devices: int
    parts: int
    resumed: bool
    as_of_ms: int


def rebuild(settings: Settings, watcher: Watcher, *, workers: int, restart: bool) -> Rebuilt:
    """Fill the cache with everything that the database holds. Raises WrongUse, Held, Unavailable."""
    with closing(adapters.open_cache(settings)) as cache:
        if cache.is_private:
            raise WrongUse(
                "a cache in memory lives and dies with its process: there is nothing to rebuild", "set --cache redis://…"
            )
    with closing(adapters.open_database(settings, read_only=True)) as database:
        database.check()
        parts, identity = database.ranges, database.identity
    what = {"database": [masked(settings.database), identity], "cache": masked(settings.cache), "parts": parts}
    with data_directory.Hold(settings.directory / data_directory.REBUILD, "rebuild"):
        return _rebuild(what, settings, watcher, workers, restart=restart)


def _rebuild(what: dict[str, Any], settings: Settings, watcher: Watcher, workers: int, *, restart: bool) -> Rebuilt:
    parts: int = what["parts"]
    progress = Progress(settings.directory / data_directory.REBUILD_PROGRESS, what, restart=restart, ages=True)
    if not progress.goes_on:
        progress.finish()  # killed at once, the next one must not go on with what was to begin anew
    left = progress.left(map(str, range(parts)))
    progress.tell(watcher, parts - len(left), parts, "parts are done")
    with (
        watcher.bar(f"rebuild {masked(settings.cache)}", parts, unit="parts") as advance,
        Pool(workers, settings, watcher.say) as pool,
    ):
        advance(parts - len(left))
        for part, devices in pool.each(_rebuild_part, {name: name for name in left}):
            progress.done(part, devices)
            advance(1)
    progress.finish()
    return Rebuilt(sum(progress.results.values()), parts, len(left) < parts, progress.began_ms)


def _rebuild_part(name: str) -> tuple[str, int]:
    return name, patiently(lambda: rebuild_range(int(name), stores(read_only=True)))
