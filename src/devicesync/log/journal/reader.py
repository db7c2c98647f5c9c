"""Reading: from a record's number on, through closed segments and the active one, while others append and rotate."""

import fcntl
import os
from contextlib import AbstractContextManager
from typing import Any

import structlog

from devicesync.clock import SYSTEM
from devicesync.durable import closing_on_error, open_ours
from devicesync.errors import Held
from devicesync.log.full import Store
from devicesync.log.journal.bounds import bounds_of
from devicesync.log.journal.cursor import Cursor
from devicesync.log.journal.files import NOT_WAITED_FOR, JournalFiles, naming_failures, same_file
from devicesync.log.port import Record

_BUSY_SECONDS = 1.0
_BUSY_NAP_SECONDS = 0.002
_IDLE_NAP_SECONDS = 0.01
_FROM_A_BACKUP = "a backup has the records before: `devicesync restore --to-stores`"
_ANOTHER = "the database is another than the one that the journal was applied to: it is applied again"
_LESS = (
    "the database has less of the journal than was applied: it is an older copy, its -wal was removed, or the journal was begun "
    "anew. The rest is applied again"
)
_log: Any = structlog.get_logger("devicesync")


class JournalReader(Cursor):
    """See port.Reader. The journal is one partition, 0, whose records count from 0 for its whole life."""

    def __init__(self, files: JournalFiles, name: str) -> None:
        super().__init__(files, _position(files, name))
        self.name = name
        self._named = files.read_store(name)  # which store the position is about
        self._store: Store | None = None
        self._log = ""  # its identity, once there is a store
        self._busy_until = 0.0
        self._polls: list[int] = []  # where those that are not committed began
        self._kept = self._told_end = -1
        with self._keeping_position():
            self._position_file = self._hold_position()
            with closing_on_error(self._position_file):
                self.commit()

    def bind(self, store: Store) -> None:
        """See full.BoundReader. A store that keeps no positions is believed to have all before ours, if ours is about it."""
        self._log = self._files.read_identity()
        is_another = "" not in (self._named, store.identity) and self._named != store.identity
        kept = store.applied(self._log)
        is_new = kept != self.position or self._named != store.identity
        applied = kept if kept is not None else 0 if is_another else self.position
        if applied < self.position:
            self._go_back(applied, _ANOTHER if is_another else _LESS)
        self._store = store
        if is_new:  # else nothing is written: it may be a start on a full disk
            self.commit_before(self.position)

    def poll(self, max_records: int, timeout_seconds: float) -> list[Record]:
        """See port.Reader. Blank lines are skipped."""
        deadline = SYSTEM.monotonic() + timeout_seconds
        while True:
            position = self.position
            records = self.read(max_records)
            now = SYSTEM.monotonic()
            if records:
                self._polls.append(position)
                self._busy_until = now + _BUSY_SECONDS
            if records or now >= deadline:
                return records
            nap = _BUSY_NAP_SECONDS if now < self._busy_until else _IDLE_NAP_SECONDS
            SYSTEM.sleep(min(nap, deadline - now))

    def skip(self, count: int) -> None:
        """Skip the next `count` records, as if they had been polled."""
        target = self.position + count
        while self.position < target and self.read(target - self.position):
            pass

    def commit(self, but_last: int = 0) -> None:
        """See port.Reader. What is kept already is not written again."""
        position = self._polls[-but_last] if but_last else self.position
        if position != self._kept:
            self.commit_before(position)

    def commit_before(self, position: int, named: str = "") -> None:
        """Never deliver again what lies before that record. Raises Unavailable.

        named: what has that, in the place of a store's identity; "" for what was named last.
        Not synced: a position lost with the power leaves an older one, and reading again is harmless.
        """
        if self._store:
            self._store.keep_applied({self._log: position})  # first: without a crash it is never the lesser
            self._named = self._store.identity
        elif named:
            self._named = named
        with self._keeping_position():
            if not same_file(self._position_file, self._files.position(self.name)):  # removed: then no segment would be dropped
                self._position_file, former = self._hold_position(), self._position_file
                os.close(former)
            os.pwrite(self._position_file, f"{position:020d} {self._named}".rstrip().encode() + b"\n", 0)
        self._kept = position
        self._polls = [began for began in self._polls if began >= position]

    def keep_alive(self) -> None:
        """See port.Reader."""

    def caught_up(self) -> bool:
        """See port.Reader."""
        return not self.unread()

    def unread(self) -> dict[int, int]:
        """See port.Reader."""
        count = bounds_of(self._files)[1] - self.position
        return {0: count} if count > 0 else {}

    def close(self) -> None:
        """See port.Reader."""
        super().close()
        if self._position_file >= 0:
            os.close(self._position_file)
            self._position_file = -1  # a number that is closed twice may be another file's by then

    def _hold_position(self) -> int:
        """The file that keeps the position, open, and locked against other readers of this name. Raises Held, OSError."""
        file = open_ours(self._files.position(self.name), os.O_RDWR | os.O_CREAT)
        with closing_on_error(file):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                why = f"{self._files.active} is being read as {self.name!r} by another process"
                raise Held(why, "stop that one first") from None
        return file

    def _go_back(self, applied: int, why: str) -> None:
        first, end = bounds_of(self._files)
        _log.warning(
            why,
            from_record=max(first, applied),
            to_record=end,
            hint=_FROM_A_BACKUP if first > applied else "",
        )
        self.rewind(max(first, applied))

    def _leave_out(self, end: int) -> None:
        if end != self._told_end and self.name not in NOT_WAITED_FOR:
            self._told_end = end
            _log.error(
                "lines of another program are left out: it wrote them into a segment of the journal that was closed",
                reader=self.name,
                before_record=end,
                hint="that program has to open the journal anew for each line, or to write a log of its own: `--log follow:PATH`",
            )

    def _pass_over(self, first: int) -> None:
        super()._pass_over(first)
        if first > self.position and self.name not in NOT_WAITED_FOR:
            _log.error(
                "records of the journal are gone that were not read yet: another program removed them",
                reader=self.name,
                from_record=self.position,
                to_record=first,
                hint=_FROM_A_BACKUP,
            )

    def _keeping_position(self) -> AbstractContextManager[None]:
        return naming_failures("keep the position of a reader in", self._files.position(self.name))


def _position(files: JournalFiles, name: str) -> int:
    """The position, or the journal's beginning where there is none, or it can't be of this journal: reading again is harmless."""
    position = files.read_position(name)
    first, end = bounds_of(files)
    if position is None:
        if first and name not in NOT_WAITED_FOR:
            _log.warning(
                "the journal's first records are gone, and nothing tells whether they were read",
                reader=name,
                first_record=first,
                hint=_FROM_A_BACKUP,
            )
        return first
    if position <= end:
        return position
    _log.warning("a position lies past the journal's end: it is read again", path=str(files.position(name)), from_record=first)
    return first
