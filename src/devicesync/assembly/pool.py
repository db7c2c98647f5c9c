"""Worker processes that share out a job's parts. One that is killed ends nothing: its part is done again."""

import errno
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context, parent_process
from typing import TYPE_CHECKING, Any, Self, TypeVar

from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience
from devicesync.status.log_lines import log_to_stderr

if TYPE_CHECKING:
    from devicesync.archive.archive import Archive
    from devicesync.stores import Stores

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

_MOST_DEATHS = 3
_MEMORY = "where the system ran out of memory, its log says so; fewer --workers need less"
_worker: dict[str, Any] = {}
"""What a worker process keeps: the settings, and its own connections."""


class Pool:
    """So many processes, in which `worker_settings` and `stores` below work. say: hears of a process that died."""

    def __init__(self, workers: int, settings: Settings, say: Callable[[str], None] = lambda text: None) -> None:
        self._workers = workers
        self._settings = settings
        self._say = say
        self._executor = self._start()

    def each(self, work: Callable[[P], R], parts: Mapping[str, P]) -> Iterator[R]:
        """The results of `work` on every part, as they come. A part whose process dies is done again, so it must bear that.

        Raises what `work` raises; Unavailable, naming the part, once three processes have died of it.
        """
        waiting = deque(parts)
        suspects: deque[str] = deque()
        deaths: Counter[str] = Counter()
        while waiting or suspects:
            # The parts under way when a process died go on one at a time: the next death tells which part it was.
            names, at_once = (suspects, 1) if suspects else (waiting, self._workers)
            died = yield from self._until_one_dies(work, parts, names, at_once)
            deaths.update(died)
            for name in died:
                if deaths[name] == _MOST_DEATHS:
                    raise _killer(name)
                self._say(f"a worker process died; done again: {name}")
            suspects.extendleft(died)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        self._end(at_once=kind is not None)

    def _start(self) -> ProcessPoolExecutor:
        """Raises Unavailable where the process that Python runs beside the workers dies at birth, again and again."""
        for _ in range(_MOST_DEATHS):
            with suppress(BrokenPipeError):
                return ProcessPoolExecutor(self._workers, get_context("spawn"), _begin, (self._settings,))
        raise Unavailable("no worker process can be started: each dies at birth", _MEMORY)

    def _end(self, *, at_once: bool) -> None:
        for process in active_children() if at_once else ():
            process.terminate()
        self._executor.shutdown(cancel_futures=True)

    def _submitted(self, work: Callable[[P], R], part: P) -> Future[R]:
        """The part in a process. Raises BrokenProcessPool, also where a death has just closed what the process is to read."""
        try:
            return self._executor.submit(work, part)
        except (OSError, ValueError) as error:  # ValueError: the number of what was closed is another file's already
            if isinstance(error, OSError) and error.errno not in {errno.EPIPE, None}:  # None: Python's own "handle is closed"
                raise
            raise BrokenProcessPool(str(error)) from error

    def _until_one_dies(
        self, work: Callable[[P], R], parts: Mapping[str, P], names: deque[str], at_once: int
    ) -> Generator[R, None, list[str]]:
        """Takes from `names`, and yields results; returns the parts that were under way when a process died."""
        running: dict[Future[R], str] = {}
        under_way: list[str] = []
        try:
            while names or running:
                while names and len(running) < at_once:
                    under_way.append(names.popleft())
                    running[self._submitted(work, parts[under_way[-1]])] = under_way[-1]
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    under_way.remove(running.pop(future))
                    yield result
        except BrokenProcessPool:
            self._end(at_once=True)
            self._executor = self._start()
        return under_way


def _killer(name: str) -> Unavailable:
    return Unavailable(f"{_MOST_DEATHS} worker processes died over {name}", _MEMORY)


def worker_settings() -> Settings:
    """In a worker: the settings."""
    settings: Settings = _worker["settings"]
    return settings


def kept(name: str, make: Any) -> Any:
    """In a worker: what `make` returned the first time that this name was asked for."""
    if name not in _worker:
        _worker[name] = make()
    return _worker[name]


def stores(*, read_only: bool = False) -> "Stores":
    """In a worker: its own connections to both stores."""
    settings = worker_settings()
    opened: Stores = kept("stores", lambda: adapters.open_stores(settings, read_only=read_only))
    return opened


def patiently(call: "Callable[[], T]") -> "T":
    """In a worker: the result of `call`, once everything that it needs can be reached. It must bear repeating."""
    return Patience(threading.Event()).until_it_works(call)


def archive_of(place: str, topic: str) -> "Archive":
    """In a worker: the backup of a topic."""
    from devicesync.archive.archive import Archive  # noqa: PLC0415 - only in a worker
    from devicesync.archive.storage import Storage  # noqa: PLC0415 - only in a worker

    opened: Archive = kept("archive", lambda: Archive(Storage(place), topic))
    return opened


def _begin(settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    log_to_stderr()
    _worker["settings"] = settings


def _end_with_parent() -> None:
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)
