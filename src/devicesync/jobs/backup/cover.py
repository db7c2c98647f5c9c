"""What a redact may have taken out of a range. Whoever writes to a bucket can write a revision as a redact does, without more.

A redact takes out what an erase in the backup covers: a device's registrations up to its erase, and refused records that
have its key or name it. It never takes an erase. So first the records that are gone are told, then the backup's erases are
read, of these devices alone, and then it is said which records none of them covers.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.errors import Damaged
from devicesync.jobs.backup.escapes import quoted_in
from devicesync.jobs.shared.backed_up import erases_in, event_of
from devicesync.law.event import MAX_ID_BYTES
from devicesync.law.state import State
from devicesync.log.full import KEY, OFFSET, TIMESTAMP_MS, VALUE, FullRecord

_ANY_AHEAD_MS = 1 << 50
_MOST = 300_000
"""Names of devices whose erases are looked for: one for each device, and for a refused record all that it has in quotes.

A redact is called for each device. So what lacks records of more is not a redact's.
"""

_Wanted = tuple[frozenset[str], int]
"""An erase of one of these devices, of this version at least."""
_NEVER: _Wanted = frozenset(), 0


class Cover:
    """Of one archive. Not safe for threads."""

    def __init__(self, max_clock_ahead_ms: int) -> None:
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._wanted: dict[frozenset[str], int] = {}
        self._names: set[str] = set()
        self._held = 0
        self._lacks_any = False
        self._erased: dict[str, int] | None = None

    @property
    def is_full(self) -> bool:
        """Whether each record that was told is covered by an erase."""
        return not self._lacks_any and all(map(self._covers, self._wanted.items()))

    def uncovered(self, rows: Iterable[FullRecord], entry: Entry) -> list[int]:
        """Which of these records, by their offsets, no erase covers. Before the erases are read: none, but they are told so."""
        offsets = []
        for row in rows:
            wanted = self._wanted_of(row, entry)
            if self._erased is None:
                self._note(*wanted)
            elif not self._covers(wanted):
                offsets.append(row[OFFSET])
        return offsets

    def learn(self, archive: Archive, entries: list[Entry], pruned: Iterable[dict[str, State]], spool: Path) -> None:
        """Read the erases of the backup, the newest files first, until they cover all that was told. Raises Unavailable.

        pruned: those of the pruned ranges. A damaged file has none; `verify` names it.
        """
        self._erased = {}
        if not self._names:
            return
        with suppress(Damaged):
            for erased in pruned:
                for device_id in erased.keys() & self._names:
                    self._add(device_id, erased[device_id].erased)
        left = [*self._wanted.items()]
        for entry in reversed(entries):
            left = [wanted for wanted in left if not self._covers(wanted)]
            if not left:
                break
            with suppress(Damaged), archive.fetched(entry, spool) as batches:
                for rows in batches:
                    for event in erases_in(rows, entry, self._max_clock_ahead_ms):
                        if event.device_id in self._names:
                            self._add(event.device_id, event.version)

    def _add(self, device_id: str, version: int) -> None:
        if self._erased is not None:
            self._erased[device_id] = max(version, self._erased.get(device_id, 0))

    def _covers(self, wanted: _Wanted) -> bool:
        names, version = wanted
        erased = self._erased or {}
        return any(name in erased and erased[name] >= version for name in names)

    def _note(self, names: frozenset[str], version: int) -> None:
        if not names or (names not in self._wanted and self._held + len(names) > _MOST):
            self._lacks_any = True
            return
        self._held += 0 if names in self._wanted else len(names)
        self._names |= names
        self._wanted[names] = max(version, self._wanted.get(names, 0))

    def _wanted_of(self, row: FullRecord, entry: Entry) -> _Wanted:
        """The erase that would have had a redact take this record out of the entry's file.

        Whoever wrote the entry said when the file was closed. So an erase is refused only where the log's time refuses it.
        """
        event = event_of(row, entry, self._max_clock_ahead_ms)
        if event:
            return _NEVER if event.erase else (frozenset([event.device_id]), event.version)
        refused = event_of(row, entry, _ANY_AHEAD_MS)
        if refused and refused.erase and refused.version // 1000 <= self._latest_ms(row):
            return _NEVER
        named = quoted_in(row[VALUE] or b"", MAX_ID_BYTES, _MOST)
        if (key := row[KEY]) and len(key) <= MAX_ID_BYTES:
            with suppress(UnicodeDecodeError):
                named.add(key.decode())
        return frozenset(named), 0

    def _latest_ms(self, row: FullRecord) -> int:
        logged_ms = row[TIMESTAMP_MS]
        return self._max_clock_ahead_ms + (_ANY_AHEAD_MS if logged_ms is None else logged_ms)
