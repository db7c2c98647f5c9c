"""A limit of so many devices a second."""

from devicesync.clock import SYSTEM, Clock


class Pace:
    """Waits where work goes faster than `rate` devices a second; 0: as fast as it can."""

    def __init__(self, rate: float, clock: Clock = SYSTEM) -> None:
        self._rate = rate
        self._clock = clock
        self._free_at = clock.monotonic()

    def passed(self, devices: int) -> None:
        """So many devices were looked at: wait until the next ones may be."""
        if not self._rate:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - 1) + devices / self._rate
        if self._free_at > now:
            self._clock.sleep(self._free_at - now)
