"""What is done of a long job, in a file that tells an interrupted job's next run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from devicesync.assembly.watcher import Watcher
from devicesync.clock import SYSTEM
from devicesync.durable import replace

_WRITE_SECONDS = 0.5


class Progress:
    """What is done of a job, by the names of its parts, in a file until all is done. A job for another `what` begins anew.

    goes_on: whether an earlier run began it.
    """

    def __init__(self, path: Path, what: dict[str, Any], *, restart: bool) -> None:
        self._path = path
        self._what = what
        self.results: dict[str, Any] = {}
        self.goes_on = False
        self._written_at = 0.0
        if path.exists() and not restart:
            found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
            if found["what"] == msgspec.to_builtins(what):
                self.results = found["results"]
                self.goes_on = True

    def tell(self, watcher: Watcher, done: int, count: int, what: str) -> None:
        """Where an earlier run began it, say how much is done. what: such as "parts are done"."""
        if self.goes_on:
            watcher.say(f"going on: {done} of {count} {what} (--restart begins anew)")

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
        replace(self._path, msgspec.json.encode({"what": self._what, "results": self.results}), durable=True)

    def finish(self) -> None:
        """All is done."""
        self._path.unlink(missing_ok=True)
