"""`rebuild`: the cache from the database, by several processes, resumable."""

import argparse
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from devicesync.cli.options import number, print_json, say, settings_of
from devicesync.config import Settings, masked
from devicesync.errors import WrongUse

if TYPE_CHECKING:
    from multiprocessing.pool import Pool
    from pathlib import Path

    from devicesync.cache.port import Cache
    from devicesync.database.port import Database

_DEFAULT_WORKERS = 2


def rebuild_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `rebuild`."""
    parser.add_argument("--workers", type=number(int, 1), default=_DEFAULT_WORKERS, help="so many processes at once [2]")
    parser.add_argument("--restart", action="store_true", help="begin anew, where an earlier run was interrupted")


def rebuild(arguments: argparse.Namespace) -> int:
    """Fill the cache from the database: after it was lost, flushed, or moved.

    Goes through the same merge as the updater, so it may run beside it: nothing newer is overwritten, and erased devices stay
    erased. The database is read by token ranges, several at once. When it is interrupted, the next run goes on where it
    stopped.
    """
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, progress_bar  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    settings = settings_of(arguments).settings
    if settings.cache.startswith("memory:"):
        raise WrongUse("a cache in memory lives and dies with its process: there is nothing to rebuild", "set --cache redis://…")
    database = adapters.open_database(settings, read_only=True)
    database.check()
    parts = database.parts
    database.close()
    began = time.monotonic()
    progress = _Progress(settings, parts, restart=arguments.restart)
    left = progress.left()
    if len(left) < parts:
        say(f"going on: {parts - len(left)} of {parts} parts are done (--restart begins anew)")
    with (
        progress_bar(f"rebuild {masked(settings.cache)}", parts, unit="parts") as advance,
        _pool(arguments.workers, settings) as pool,
    ):
        advance(parts - len(left))
        for part, devices in pool.imap_unordered(_rebuild_part, left):
            progress.done(part, devices)
            advance(1)
    devices = progress.finish()
    seconds = round(time.monotonic() - began, 3)
    if arguments.json:
        print_json({"devices": devices, "parts": parts, "resumed": len(left) < parts, "seconds": seconds})
    else:
        print(f"{devices:,} devices, in {seconds:,.1f} s")
    return 0


class _Progress:
    """Which parts are done, in a file of the data directory, until all are."""

    def __init__(self, settings: Settings, parts: int, *, restart: bool) -> None:
        self._path: Path = settings.directory / "rebuild.json"
        self._what = {"database": masked(settings.database), "cache": masked(settings.cache), "parts": parts}
        self._parts = parts
        self._devices: dict[str, int] = {}
        if self._path.exists() and not restart:
            found: dict[str, Any] = msgspec.json.decode(self._path.read_bytes())
            if {name: found.get(name) for name in self._what} == self._what:
                self._devices = found["devices"]

    def left(self) -> list[int]:
        return [part for part in range(self._parts) if str(part) not in self._devices]

    def done(self, part: int, devices: int) -> None:
        self._devices[str(part)] = devices
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode({**self._what, "devices": self._devices}))
        beside.replace(self._path)

    def finish(self) -> int:
        self._path.unlink(missing_ok=True)
        return sum(self._devices.values())


def _pool(workers: int, settings: Settings) -> "Pool":
    from multiprocessing import get_context  # noqa: PLC0415 - --help needs none of it

    return get_context("spawn").Pool(workers, _begin_worker, (settings,))


_worker: dict[str, Any] = {}
"""What a worker process keeps: the settings, and its own connections."""


def _begin_worker(settings: Settings) -> None:
    from devicesync.cli.process import log_to_stderr  # noqa: PLC0415 - only in a worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends us
    log_to_stderr(verbose=False)
    _worker["settings"] = settings


def _rebuild_part(part: int) -> tuple[int, int]:
    from devicesync.jobs.patience import Patience  # noqa: PLC0415 - only in a worker
    from devicesync.jobs.rebuild import rebuild_part  # noqa: PLC0415 - only in a worker

    patience = Patience(threading.Event())
    return part, patience.until_it_works(lambda: rebuild_part(part, *_stores()))


def _stores() -> tuple["Database", "Cache"]:
    from devicesync import adapters  # noqa: PLC0415 - only in a worker

    if "stores" not in _worker:
        settings = _worker["settings"]
        _worker["stores"] = adapters.open_database(settings, read_only=True), adapters.open_cache(settings)
    stores: tuple[Database, Cache] = _worker["stores"]
    return stores
