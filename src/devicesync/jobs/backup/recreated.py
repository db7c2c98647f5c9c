"""Finds out that the log was recreated. Nobody tells: it has the same name, and its records follow at the old offsets."""

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from devicesync.clock import Clock
from devicesync.errors import Unavailable
from devicesync.jobs.backup.partition_backup import PartitionBackup
from devicesync.jobs.shared.patience import Patience
from devicesync.log.full import DELETED, FullReader

P = ParamSpec("P")
T = TypeVar("T")

_SECONDS = 10.0


class Recreated:
    """Asks for the log's identity."""

    def __init__(self, reader: FullReader, patience: Patience, clock: Clock) -> None:
        self.patience = patience
        self._reader = reader
        self.clock = clock
        self._asked_at = 0.0

    def identity(self, known: str = "") -> str:
        """The log's identity. Raises Unavailable where there is no log, or another one than is `known`."""
        found = self._reader.identity()
        if found == DELETED or known not in ("", found):
            raise Unavailable("the log was deleted", "the backup goes on when it is made anew")
        return found

    def mark(self, parts: Iterable[PartitionBackup]) -> None:
        """Mark those as stale whose log is another one now. Raises Stopped."""
        self.patience.until_it_works(self._mark, parts)

    def mark_now_and_then(self, parts: Iterable[PartitionBackup]) -> None:
        """The same, when nobody has asked for a while."""
        if self.clock.monotonic() - self._asked_at >= _SECONDS:
            self.mark(parts)
            self._asked_at = self.clock.monotonic()

    def asked(self, parts: list[PartitionBackup], call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | None:
        """The result of a call about these, which is repeated until it works; None once one of them is stale. Raises Stopped.

        For the log that is there now may have no such partition, and the call would never work.
        """

        def ask() -> T | None:
            try:
                return call(*args, **named)
            except Unavailable:
                self._mark(parts)
                if any(part.is_stale for part in parts):
                    return None
                raise

        return self.patience.until_it_works(ask)

    def _mark(self, parts: Iterable[PartitionBackup]) -> None:
        found = self._reader.identity()
        for part in parts:
            part.is_stale |= found not in (part.identity, DELETED)
