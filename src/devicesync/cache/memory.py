"""A cache in this process, bounded: the devices used longest ago are forgotten first."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from devicesync.cache.port import Advice, Merged
from devicesync.law.state import State, join

DEFAULT_MAX_DEVICES = 2_000


class MemoryCache:
    """See port.Cache. Dies with its process, and is then filled from the database. Its `known` is all it holds."""

    def __init__(self, max_devices: int = DEFAULT_MAX_DEVICES) -> None:
        self._max_devices = max_devices
        self._held: OrderedDict[str, State] = OrderedDict()
        self._lock = threading.Lock()

    def merge(self, changes: Mapping[str, State], *, create: bool = False) -> Merged:
        """See port.Cache."""
        held = self._held
        known, missing = {}, []
        with self._lock:  # in `up` the API fills it beside the updater
            for device_id, change in changes.items():
                before = held.get(device_id)
                if before is not None:
                    known[device_id] = held[device_id] = join(before, change)
                    held.move_to_end(device_id)
                elif create:
                    known[device_id] = held[device_id] = change
                else:
                    missing.append(device_id)
            while len(held) > self._max_devices:
                held.popitem(last=False)
        return Merged(known, missing, [])

    def saved(self, states: Mapping[str, State]) -> None:
        """See port.Cache."""

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Cache."""
        return {device_id: state for device_id in device_ids if (state := self._held.get(device_id))}

    def check(self) -> None:
        """See port.Cache."""

    def advice(self) -> list[Advice]:
        """See port.Cache."""
        return []

    def close(self) -> None:
        """See port.Cache."""
