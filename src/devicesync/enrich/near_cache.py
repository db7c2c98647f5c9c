"""What this process remembers of devices, until it hears that one changed. No input or output; safe for several threads.

Whoever misses a device boards a flight, reads it and lands it. A device that changes while it is read leaves the flight, so
what is read of it is used by those who waited, and not kept. The same holds for all devices when the connection that tells of
changes is made or lost.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import Future
from typing import NamedTuple

_OVERHEAD_BYTES = 320
"""What an entry takes beside its texts: two tables' slots, an entry, a time and a number (benchmarks/enrich.py measures it)."""


class Entry(NamedTuple):
    """What is known of a device.

    members: what an event gets (devicedata.py); b"" where the device is unknown.
    version: the profile's, in µs; 0 where none is told.
    read_at: when the read began that found it, in seconds of Clock.monotonic.
    """

    members: bytes
    version: int
    read_at: float


Flight = Future[Mapping[str, Entry]]
"""One read of some devices, under way: its result has them all."""


class Boarded(NamedTuple):
    """Who reads what: `mine` by this caller, who must land or cancel `flight`; `others` are being read already."""

    flight: Flight
    mine: list[str]
    others: dict[str, Flight]


class NearCache:
    """Holds at most about `max_bytes`. In two generations: what was not used while the younger one filled is forgotten."""

    def __init__(self, max_bytes: int) -> None:
        self._generation_bytes = max_bytes // 2
        self._young: dict[str, Entry] = {}
        self._old: dict[str, Entry] = {}
        self._young_bytes = 0
        self._old_bytes = 0
        self._flights: dict[str, Flight] = {}
        self._lock = threading.Lock()
        self.is_open = False
        self.invalidated = self.flushed = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def bytes(self) -> int:
        """About how much memory is used."""
        return self._young_bytes + self._old_bytes

    def get(self, device_id: str) -> Entry | None:
        """What is remembered of the device; None where it has to be read."""
        entry = self._young.get(device_id)
        if entry is None and device_id in self._old:
            with self._lock:
                entry = self._drop(device_id)
                if entry is not None:
                    self._keep(device_id, entry)
        return entry

    def open(self) -> None:
        """From now on changes are heard of. What was being read before may have changed unheard, and is not kept."""
        with self._lock:
            self._clear()
            self.is_open = True

    def close(self) -> None:
        """Changes are not heard of any more: forget everything, and keep nothing."""
        with self._lock:
            self.is_open = False
            self._clear()

    def forget(self, device_ids: Iterable[str]) -> None:
        """These have changed."""
        with self._lock:
            for device_id in device_ids:
                self._flights.pop(device_id, None)
                self.invalidated += self._drop(device_id) is not None

    def forget_all(self) -> None:
        """All may have changed."""
        with self._lock:
            self._clear()

    def board(self, device_ids: Collection[str]) -> Boarded:
        """Take over the reading of those that nobody is reading."""
        boarded = Boarded(Future(), [], {})
        with self._lock:
            for device_id in device_ids:
                other = self._flights.get(device_id)
                if other is None:
                    self._flights[device_id] = boarded.flight
                    boarded.mine.append(device_id)
                else:
                    boarded.others[device_id] = other
        return boarded

    def land(self, flight: Flight, entries: Mapping[str, Entry], *, keep: bool = True) -> None:
        """These were read. keep: whether changes of where they were read are heard of."""
        with self._lock:
            for device_id, entry in entries.items():
                if self._flights.get(device_id) is flight:
                    del self._flights[device_id]
                    if self.is_open and keep:
                        self._keep(device_id, entry)
        flight.set_result(entries)

    def cancel(self, flight: Flight, device_ids: Iterable[str], error: BaseException) -> None:
        """They could not be read; those who wait for them get the error."""
        with self._lock:
            for device_id in device_ids:
                if self._flights.get(device_id) is flight:
                    del self._flights[device_id]
        flight.set_exception(error)

    def _drop(self, device_id: str) -> Entry | None:
        """What was remembered of the device, which lies in one generation at most."""
        entry = self._young.pop(device_id, None)
        if entry is not None:
            self._young_bytes -= _size(device_id, entry)
        elif (entry := self._old.pop(device_id, None)) is not None:
            self._old_bytes -= _size(device_id, entry)
        return entry

    def _keep(self, device_id: str, entry: Entry) -> None:
        self._drop(device_id)  # it is read anew while what is remembered is not proven
        self._young[device_id] = entry
        self._young_bytes += _size(device_id, entry)
        if self._young_bytes > self._generation_bytes:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0

    def _clear(self) -> None:
        self.flushed += bool(self._young or self._old)
        self._young.clear()
        self._old.clear()
        self._flights.clear()
        self._young_bytes = self._old_bytes = 0


def _size(device_id: str, entry: Entry) -> int:
    return _OVERHEAD_BYTES + len(device_id) + len(entry.members)
