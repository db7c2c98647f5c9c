"""What a redact may have taken out of a range. Whoever writes to a bucket can write a revision as a redact does, without more.

A redact takes out what an erase in the backup covers: a device's registrations up to its erase. It never takes an erase. It takes
refused records that may be the device's, too: those are not looked into, for they change no store. So first the records that are
gone are told, then the backup's erases are read, of these devices alone, and then it is said which records none of them covers.
Under which max_clock_ahead_seconds a redact ran nobody can tell. So its own limit, LATEST_MS, says here what is refused.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.errors import Damaged, Stopped
from devicesync.jobs.backup.redact import LATEST_MS
from devicesync.jobs.shared.backed_up import ANY_AHEAD_MS, erases_in, event_of, is_late_for_good
from devicesync.law.state import State
from devicesync.log.full import OFFSET, FullRecord

_MOST = 300_000
"""Devices whose erases are looked for. A redact is called for each device. So what lacks records of more is not a redact's."""

_Wanted = tuple[str, int]
"""An erase of this device, of this version at least."""
_NEVER: _Wanted = "", 0
"""No device has this id."""


class Cover:
    """Of one archive. Not safe for threads."""

    def __init__(self) -> None:
        self._wanted: dict[str, int] = {}
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
            wanted = _wanted_of(row, entry)
            if wanted is None:
                continue
            if self._erased is None:
                self._note(*wanted)
            elif not self._covers(wanted):
                offsets.append(row[OFFSET])
        return offsets

    def learn(
        self,
        archive: Archive,
        entries: list[Entry],
        pruned: Iterable[dict[str, State]],
        spool: Path,
        *,
        stop: threading.Event | None = None,
        others: Iterable[Entry] = (),
    ) -> None:
        """Read the erases of the backup, the newest files first, until they cover all that was told.

        pruned: those of the pruned ranges. others: files that come last; each is asked for when it is read.
        A damaged file has none; `verify` names it. Raises Unavailable, and Stopped, soon.
        """
        stop = stop or threading.Event()
        self._erased = {}
        if not self._wanted:
            return
        with suppress(Damaged):
            for erased in pruned:
                _go_on(stop)
                for device_id in erased.keys() & self._wanted.keys():
                    self._add(device_id, erased[device_id].erased)
        left = [*self._wanted.items()]
        for entry in chain(reversed(entries), others):
            left = [wanted for wanted in left if not self._covers(wanted)]
            if not left:
                break
            with suppress(Damaged), archive.fetched(entry, spool) as batches:
                for rows in batches:
                    _go_on(stop)
                    for event in erases_in(rows, entry, LATEST_MS):
                        if event.device_id in self._wanted:
                            self._add(event.device_id, event.version)

    def _add(self, device_id: str, version: int) -> None:
        if self._erased is not None:
            self._erased[device_id] = max(version, self._erased.get(device_id, 0))

    def _covers(self, wanted: _Wanted) -> bool:
        device_id, version = wanted
        return (self._erased or {}).get(device_id, -1) >= version

    def _note(self, device_id: str, version: int) -> None:
        if not device_id or (device_id not in self._wanted and len(self._wanted) >= _MOST):
            self._lacks_any = True
        else:
            self._wanted[device_id] = max(version, self._wanted.get(device_id, 0))


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise Stopped


def _wanted_of(row: FullRecord, entry: Entry) -> _Wanted | None:
    """The erase that would have had a redact take this record out; None for a refused one."""
    event = event_of(row, entry, ANY_AHEAD_MS)
    if event and event.erase:
        return _NEVER
    return (event.device_id, event.version) if event and not is_late_for_good(event, row, LATEST_MS) else None
