"""What is done of a long job, in a file that tells an interrupted job's next run."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM, date_of
from devicesync.durable import content_of, replace, sync_directory
from devicesync.errors import Unavailable

_WRITE_SECONDS = 0.5
_MOST_BYTES = 1 << 30
_RECENT_MS = 12 * 3600 * 1000


class _Done(msgspec.Struct):
    """What the file says."""

    what: dict[str, Any]
    results: dict[str, Any]
    began_ms: int


_decode = msgspec.json.Decoder(_Done).decode


class Progress:
    """What is done of a job, by the names of its parts, in a file until all is done. A job for another `what` begins anew.

    directory: where the parts put what they make; without it a job begins anew.
    ages: whether what is done may be undone without a sign, as in a store that is emptied. Then a job begins anew where nothing
        was noted in the last 12 hours.
    goes_on: whether an earlier run began it. began_ms: when the first of its runs began, in ms since 1970.
    """

    def __init__(
        self, path: Path, what: dict[str, Any], *, restart: bool, ages: bool = False, directory: Path | None = None
    ) -> None:
        self._path = path
        self._directory = directory
        self._what = msgspec.json.decode(msgspec.json.encode(what))  # as the file gives it back: a tuple is a list there
        self.results: dict[str, Any] = {}
        self.goes_on = False
        self.began_ms = SYSTEM.now_ms()
        self._written_at = 0.0
        is_lost = directory is not None and not directory.exists()
        found = None if restart or is_lost or (ages and not is_recent(path)) else _found(path)
        if found and found.what == self._what:
            self.results = found.results
            self.goes_on = True
            self.began_ms = found.began_ms

    def tell(self, watcher: Watcher, done: int, count: int, what: str) -> None:
        """Where an earlier run began it, say how much is done. what: such as "parts are done"."""
        if self.goes_on:
            watcher.say(going_on(done, count, what, self.began_ms))

    def left(self, names: Iterable[str]) -> list[str]:
        """Those that are not done."""
        return [name for name in names if name not in self.results]

    def done(self, name: str, result: Any) -> None:
        """Note that a part is done; saved at most twice a second; after a crash the parts since then are repeated."""
        self.results[name] = result
        if SYSTEM.monotonic() - self._written_at < _WRITE_SECONDS:
            return
        self.begin()

    def begin(self) -> None:
        """Write down what is done, even if that is nothing yet: the next run goes on."""
        self._written_at = SYSTEM.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace(self._path, msgspec.json.encode(_Done(self._what, self.results, self.began_ms)), durable=True)

    def finish(self) -> None:
        """All is done, or what was noted counts no more. Durable: nobody goes on."""
        if self._path.exists():
            self._path.unlink()
            sync_directory(self._path.parent)

    def clear(self) -> None:
        """Finish, then remove what the parts made: however that ends, nobody goes on with what is left of it.

        Raises Unavailable: what stays would be taken for what another run makes, and is of devices.
        """
        self.finish()
        directory = self._directory
        if directory is None or not os.path.lexists(directory):
            return
        try:
            shutil.rmtree(directory)
        except OSError as error:
            hint = "no link may stand there: put the directory itself in its place" if directory.is_symlink() else "remove it"
            raise Unavailable(f"can't remove {directory}: {error.strerror or error}", hint) from error


def going_on(done: int, count: int, what: str, as_of_ms: int) -> str:
    """The sentence that says so. what: such as "parts are done"."""
    return f"going on: {done} of {count} {what}, as of {date_of(as_of_ms)} (--restart begins anew)"


def is_recent(path: Path) -> bool:
    """Whether the file was written in the last 12 hours."""
    try:
        return abs(SYSTEM.now_ms() - path.stat().st_mtime_ns // 1_000_000) < _RECENT_MS
    except OSError:
        return False


def _found(path: Path) -> _Done | None:
    """What an earlier run wrote; None where that is nothing, or nothing that it can have written: the job then begins anew."""
    try:
        return _decode(content_of(path, _MOST_BYTES))
    except (OSError, UnicodeError, msgspec.MsgspecError, RecursionError):
        return None
