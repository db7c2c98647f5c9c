"""The verbs about backups."""

from collections.abc import Callable
from typing import TypeVar

from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.backup.run import Backup
from tests.simulation.promises import Law
from tests.simulation.world import Living, World

_SETTINGS = Settings()
_DAY_MS = 86_400_000
T = TypeVar("T")


class BackupJobs:
    """See jobs.Jobs."""

    _world: World
    _law: Law
    _process: Living

    def backup(self, how: tuple[int, float, str, int]) -> None:
        """`devicesync backup run`, until it is stopped. how: when a file is closed, its format, and the files open at once."""
        self._run(self._backup(how))

    def backup_all(self, how: tuple[int, float, str, int]) -> None:
        """`devicesync backup run --until-caught-up`."""
        self._run(self._backup(how), until_caught_up=True)
        if not self._process.stop.is_set():
            self._law.has_backed_up([partition.high for partition in self._world.broker.partitions])

    def prune(self, keep_days: float) -> None:
        """`devicesync backup prune`, until it is done."""
        before_ms = self._process.clock.now_ms() - int(keep_days * _DAY_MS)
        self._law.prunes(before_ms)
        self._repeated(lambda: prune("", _SETTINGS, Unwatched(), before_ms=before_ms, dry_run=False))

    def redact(self, device: int) -> None:
        """`devicesync backup redact`, until it is done."""
        name = self._world.names[device]
        began = self._law.redacts(name)
        done = self._repeated(lambda: redact("", name, _SETTINGS, Unwatched(), dry_run=False))
        if done:
            self._law.has_redacted(name, done["erased"], {*done["unlisted"]}, began)

    def _repeated(self, command: Callable[[], T]) -> T | None:
        """What a person does when a command says that a dependency failed, or that a file went meanwhile: call it again."""
        while not self._process.stop.is_set():
            try:
                return command()
            except (Unavailable, Damaged, OSError):
                self._process.clock.sleep(1)
        return None

    def _backup(self, how: tuple[int, float, str, int]) -> Backup:
        file_bytes, file_seconds, file_format, files_at_once = how
        place, log, clock = self._world.backup, self._world.log(self._process.clock), self._process.clock
        limits, stop = Limits(file_bytes, file_seconds), self._process.stop
        made = Backup(log, place.archive(), place.spool(), limits=limits, file_format=file_format, stop=stop, clock=clock)
        made._files_at_once = files_at_once
        return made

    @staticmethod
    def _run(backup: Backup, *, until_caught_up: bool = False) -> None:
        try:
            backup.run(until_caught_up=until_caught_up)
        finally:  # a process that is gone has no file open
            for part in backup._parts.values():
                part.discard()
            backup._encoder.close()
