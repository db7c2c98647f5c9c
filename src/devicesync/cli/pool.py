"""Worker processes that share out a job's parts, and the file that tells an interrupted job's next run which are done."""

import signal
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.archive.archive import Archive
    from devicesync.cache.port import Cache
    from devicesync.database.port import Database

T = TypeVar("T")

_WRITE_SECONDS = 0.5
_worker: dict[str, Any] = {}
"""What a worker process keeps: the settings, and its own connections."""


def pool(workers: int, settings: Settings) -> Pool:
    """So many processes, in which `settings` and `stores` below work."""
    return get_context("spawn").Pool(workers, _begin, (settings,))


def worker_settings() -> Settings:
    """In a worker: the settings."""
    settings: Settings = _worker["settings"]
    return settings


def kept(name: str, make: Any) -> Any:
    """In a worker: what `make` returned the first time that this name was asked for."""
    if name not in _worker:
        _worker[name] = make()
    return _worker[name]


def stores(*, read_only: bool = False) -> "tuple[Database, Cache]":
    """In a worker: its own connections to both stores."""
    from devicesync import adapters  # noqa: PLC0415 - only in a worker

    settings = worker_settings()
    database: Database = kept("database", lambda: adapters.open_database(settings, read_only=read_only))
    cache: Cache = kept("cache", lambda: adapters.open_cache(settings))
    return database, cache


def patiently(call: "Callable[[], T]") -> "T":
    """In a worker: the result of `call`, once everything that it needs can be reached. It must bear repeating."""
    from devicesync.jobs.patience import Patience  # noqa: PLC0415 - only in a worker

    return Patience(threading.Event()).until_it_works(call)


def archive_of(place: str, topic: str) -> "Archive":
    """In a worker: the backup of a topic."""
    from devicesync.archive.archive import Archive  # noqa: PLC0415 - only in a worker
    from devicesync.archive.place import Place  # noqa: PLC0415 - only in a worker

    opened: Archive = kept("archive", lambda: Archive(Place(place), topic))
    return opened


class Progress:
    """What is done of a job, by the names of its parts, in a file until all is done. A job for another `what` begins anew."""

    def __init__(self, path: Path, what: dict[str, Any], *, restart: bool) -> None:
        self._path = path
        self._what = what
        self.results: dict[str, Any] = {}
        self._written_at = 0.0
        if path.exists() and not restart:
            found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
            if found["what"] == msgspec.to_builtins(what):
                self.results = found["results"]

    @property
    def goes_on(self) -> bool:
        """Whether an earlier run did some of it."""
        return bool(self.results)

    def left(self, names: Iterable[str]) -> list[str]:
        """Those that are not done."""
        return [name for name in names if name not in self.results]

    def done(self, name: str, result: Any) -> None:
        """Note that a part is done; written down at most twice a second, for what was done since is only done again."""
        self.results[name] = result
        if time.monotonic() - self._written_at < _WRITE_SECONDS:
            return
        self._written_at = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode({"what": self._what, "results": self.results}))
        beside.replace(self._path)

    def finish(self) -> None:
        """All is done."""
        self._path.unlink(missing_ok=True)


def _begin(settings: Settings) -> None:
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - only in a worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends us
    log_to_stderr(verbose=False)
    _worker["settings"] = settings
