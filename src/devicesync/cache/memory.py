"""A cache in this process, bounded in devices and in bytes: the devices used longest ago are forgotten first."""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence

from devicesync.cache.port import NO_TICKETS, UNKNOWN, Advice, Looked, Merged
from devicesync.law.news import met
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State, join

DEFAULT_MAX_DEVICES = 2_000
_MOST_TICKETS = 65_536
_MOST_BYTES = 64 << 20
"""Of all texts, as Python holds them. One character beyond U+FFFF makes it four bytes for each of a text's characters."""


class MemoryCache:
    """See port.Cache. Dies with its process, and is then filled from the database. Its `look` gives values too."""

    is_private = True

    def __init__(self, max_devices: int = DEFAULT_MAX_DEVICES) -> None:
        self._max_devices = max_devices
        self._held: OrderedDict[str, State] = OrderedDict()
        self._bytes_of: dict[str, int] = {}
        self._bytes = 0
        self._made_with: dict[str, str] = {}
        self._unsettled: set[str] = set()
        self._tickets: dict[str, str] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def look(self, device_ids: Collection[str]) -> Looked:
        """See port.Cache."""
        with self._lock:
            if len(self._tickets) > _MOST_TICKETS:
                self._tickets.clear()
            ticket = str(next(self._numbers))
            held = {device_id: state for device_id in device_ids if (state := self._held.get(device_id))}
            made_with = self._made_with
            tickets = {
                device_id: made_with.get(device_id) or self._tickets.setdefault(device_id, ticket) for device_id in device_ids
            }
            return Looked(held, tickets, [device_id for device_id in device_ids if device_id in self._unsettled])

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        """See port.Cache."""
        held = self._held
        missing: list[str] = []
        with self._lock:  # in `up` the API fills it beside the updater
            for device_id, change in changes.items():
                before = held.get(device_id)
                if not self._may_merge(device_id, tickets.get(device_id)):
                    missing.append(device_id)
                    continue
                after = change if before is None else join(before, change)
                self._keep(device_id, after)
                held.move_to_end(device_id)
                self._note(device_id, before, change, after, shown=shown.get(device_id))
            unsettled = [device_id for device_id in changes if device_id in self._unsettled]
            while len(held) > self._max_devices or self._bytes > _MOST_BYTES:
                self._drop(next(iter(held)))
        return Merged(missing, unsettled)

    def forget(self, device_ids: Collection[str]) -> None:
        """See port.Cache."""
        with self._lock:
            for device_id in device_ids:
                self._drop(device_id)

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Cache."""
        return {device_id: state for device_id in device_ids if (state := self._held.get(device_id))}

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Cache."""
        return {device_id: seen_of(state)._replace(mark=str(state)) for device_id, state in self.read(device_ids).items()}

    def scan(self) -> Iterator[list[str]]:
        """See port.Cache."""
        with self._lock:
            yield [*self._held]

    def replace(self, states: Mapping[str, State], marks: Mapping[str, str], shown: Mapping[str, bool] = UNKNOWN) -> list[str]:
        """See port.Cache."""
        with self._lock:
            replaced = [device_id for device_id in states if str(self._held.get(device_id)) == marks[device_id]]
            for device_id in replaced:
                self._keep(device_id, states[device_id])
                self._made_with[device_id] = str(next(self._numbers))
                self._unsettled.discard(device_id)
                if shown.get(device_id) is False:
                    self._unsettled.add(device_id)
        return replaced

    def expiring(self, device_ids: Sequence[str]) -> list[str]:
        """See port.Cache. Nothing expires here."""
        del device_ids
        return []

    def time_left_ms(self, device_id: str) -> int | None:
        """See port.Cache. Nothing expires here."""
        del device_id
        return None

    def check(self) -> None:
        """See port.Cache."""

    def advice(self) -> list[Advice]:
        """See port.Cache."""
        return []

    def close(self) -> None:
        """See port.Cache."""

    def _keep(self, device_id: str, state: State) -> None:
        size = state.text_bytes
        self._bytes += size - self._bytes_of.get(device_id, 0)
        self._bytes_of[device_id] = size
        self._held[device_id] = state

    def _drop(self, device_id: str) -> None:
        self._held.pop(device_id, None)
        self._bytes -= self._bytes_of.pop(device_id, 0)
        self._made_with.pop(device_id, None)
        self._unsettled.discard(device_id)

    def _may_merge(self, device_id: str, ticket: str | None) -> bool:
        if device_id in self._held:
            return ticket is None or ticket == self._made_with[device_id]
        if ticket is None or self._tickets.get(device_id) != ticket:
            return False
        self._made_with[device_id] = self._tickets.pop(device_id)
        return True

    def _note(self, device_id: str, before: State | None, change: State, after: State, *, shown: bool | None) -> None:
        """Events may have met here of which the database's writers did not know."""
        if shown and after == change == before:
            self._unsettled.discard(device_id)
            return
        hides = bool(shown) and after != change  # what was settled was not all that is held: the row may hide the rest
        if hides or shown is False or (before is not None and met(before, change, after)):
            self._unsettled.add(device_id)
