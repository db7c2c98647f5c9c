"""An object store, as fsspec reaches it: objects by their paths, whole or not at all. A put that timed out may come late."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from devicesync.archive.storage import Storage
from tests.simulation.scheduler import current, done, gate

T = TypeVar("T")


class ObjectStore:
    """What is there. `changed`: what was put or removed since somebody looked. late: puts whose client has given up, still on their way.

    puts: how many there were. put_by: of each object the number of its put, and which process made it.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.late: list[tuple[str, bytes, str, str]] = []
        self.changed: list[str] = []
        self.puts = 0
        self.put_by: dict[str, tuple[int, str]] = {}

    def put(self, path: str, content: bytes, name: str, mode: str) -> None:
        """Over what is there; to "create" an object raises FileExistsError then."""
        if mode == "create" and path in self.objects:
            raise FileExistsError(path)
        self.objects[path] = content
        self.changed.append(path)
        self.puts += 1
        self.put_by[path] = self.puts, name

    def remove(self, path: str) -> None:
        """Raises FileNotFoundError."""
        if self.objects.pop(path, None) is None:
            raise FileNotFoundError(path)
        self.changed.append(path)

    def deliver(self, number: int) -> None:
        """One of the late puts arrives."""
        if self.late:
            with suppress(FileExistsError):
                self.put(*self.late.pop(number % len(self.late)))

    def storage(self) -> Storage:
        """As a process opens it."""
        storage = Storage("memory://backup")
        storage._files = GatedFiles(self)
        return storage


class GatedFiles:
    """As fsspec's file systems, as far as Storage uses them. Each call waits for its turn, and has a fate."""

    protocol = "memory"

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put_file(self, here: str, path: str) -> None:
        self._put("put", path, Path(here).read_bytes(), "overwrite")

    def pipe_file(self, path: str, content: bytes, mode: str = "overwrite") -> None:
        self._put("put" if mode == "overwrite" else mode, path, content, mode)

    def get_file(self, path: str, here: str, *, callback: object) -> None:
        del callback
        Path(here).write_bytes(self._asked("read", path, lambda: self._at(path)))

    def info(self, path: str) -> dict[str, Any]:
        return self._asked("look at", path, lambda: {"size": len(self._at(path)), "type": "file"})

    def ls(self, path: str, *, detail: bool) -> list[str]:
        del detail
        return self._asked("list", path, lambda: self._below(f"{path}/"))

    def rm_file(self, path: str) -> None:
        self._asked("remove", path, lambda: self._store.remove(path))

    def _put(self, what: str, path: str, content: bytes, mode: str) -> None:
        fate, process = gate(f"{what} {path}"), current()
        name = process.name if process else ""
        if fate == "comes late":
            self._store.late.append((path, content, name, mode))
        elif fate not in ("is refused", "is done by half"):  # half an object is none
            self._store.put(path, content, name, mode)
        done(fate)
        if fate != "goes on":
            raise OSError(fate)

    def _asked(self, what: str, path: str, answer: Callable[[], T]) -> T:
        fate = gate(f"{what} {path}")
        if fate in ("is refused", "is done by half"):
            raise OSError(fate)
        found = answer()
        done(fate)
        if fate != "goes on":
            raise OSError(fate)
        return found

    def _at(self, path: str) -> bytes:
        if path not in self._store.objects:
            raise FileNotFoundError(path)
        return self._store.objects[path]

    def _below(self, directory: str) -> list[str]:
        rest = [path.removeprefix(directory) for path in self._store.objects if path.startswith(directory)]
        if not rest:
            raise FileNotFoundError(directory)
        return sorted({directory + name.partition("/")[0] for name in rest})
