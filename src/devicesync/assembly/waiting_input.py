"""Standard input, or another pipe, that may be silent for long, or never end: a stop signal ends the reading."""

import io
import os
import select
import threading

from devicesync.jobs.shared.patience import Stopped

_LOOK_MS = 200


class WaitingInput(io.RawIOBase):
    """Reads a descriptor, which it leaves open. Raises Stopped when `stop` is set."""

    def __init__(self, descriptor: int, stop: threading.Event) -> None:
        self._descriptor = descriptor
        self._there = select.poll()  # select takes no descriptor above 1,023
        self._there.register(descriptor, select.POLLIN)
        self._stop = stop

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See io.RawIOBase."""
        is_there = False
        while not is_there:
            if self._stop.is_set():
                raise Stopped
            is_there = bool(self._there.poll(_LOOK_MS))
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)
