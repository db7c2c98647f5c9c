"""Where the backup of a world is, and what its processes have of their own: a spool on a disk that may be full, and threads."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.config import Settings
from tests.simulation import threads
from tests.simulation.disk import IN_MEMORY
from tests.simulation.object_store import ObjectStore
from tests.simulation.scheduler import current


class BackupPlace:
    """The archive of a topic. disk_is_full: that of all processes' spools."""

    def __init__(self, topic: str) -> None:
        self.store = ObjectStore()
        self.disk_is_full = False
        self._names = 0
        self._topic = topic
        self._directory: Path | None = None

    def archive(self) -> Archive:
        """As a process opens it."""
        return Archive(self.store.storage(), self._topic)

    def spool(self) -> Path:
        """A local directory of one process."""
        self._directory = self._directory or Path(tempfile.mkdtemp(prefix="simulation-", dir=IN_MEMORY))
        return Path(tempfile.mkdtemp(dir=self._directory))

    def fill_disk(self) -> None:
        """It becomes full, or has room again."""
        self.disk_is_full = not self.disk_is_full

    def calm(self) -> None:
        """The disk has room, and what was on its way is there."""
        self.disk_is_full = False
        while self.store.late:
            self.store.deliver(0)

    def _name(self) -> Any:
        """As uuid4, but always the same."""
        self._names += 1
        return SimpleNamespace(hex=f"{self._names:08x}")

    @contextmanager
    def _spool_of(self, settings: Settings, name: str) -> Iterator[Any]:
        """As assembly's: a process's own."""
        del settings, name
        process = current()
        with tempfile.TemporaryDirectory(dir=self.spool(), prefix=process.name if process else "") as spool:
            yield SimpleNamespace(path=Path(spool))

    @contextmanager
    def processes(self) -> Iterator[None]:
        """In here the backup's place, its threads and its disk are those of the simulation."""
        with ExitStack() as stack:
            for where, simulated in (
                ("jobs.backup.closing.ThreadPoolExecutor", threads.Pool),
                ("jobs.backup.closing.wait", threads.wait),
                ("jobs.backup.run.Encoder", lambda spool: _Encoder(spool, self)),
                ("jobs.backup.redact.Encoder", lambda spool: _Encoder(spool, self)),
                ("jobs.backup.redact.uuid", SimpleNamespace(uuid4=self._name)),
                ("assembly.backup.prune.archives_at", lambda place: [self.archive()]),
                ("assembly.backup.prune.spool_of", self._spool_of),
                ("assembly.backup.redact.archives_at", lambda place: [self.archive()]),
                ("assembly.backup.redact.spool_of", self._spool_of),
                ("archive.encoder.ThreadPoolExecutor", threads.AtOnce),
                ("archive.manifest.ThreadPoolExecutor", threads.AtOnce),
                ("archive.revisions.ThreadPoolExecutor", threads.AtOnce),
                ("archive.storage.SYSTEM", SimpleNamespace(sleep=lambda seconds: None)),  # this store knows a new object
            ):
                stack.enter_context(mock.patch(f"devicesync.{where}", simulated))
            yield

    def close(self) -> None:
        """Remove what is on disk."""
        if self._directory:
            shutil.rmtree(self._directory)


class _Encoder(Encoder):
    def __init__(self, spool: Path, place: BackupPlace) -> None:
        super().__init__(spool)
        self._place = place

    def take_file(self) -> FileIO:
        if self._place.disk_is_full:
            raise OSError(errno.ENOSPC, "no space left")
        return super().take_file()
