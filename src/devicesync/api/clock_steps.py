"""Steps back of this machine's clock. A clock that never steps shows them."""

from devicesync.clock import Clock

_STEP_US = 100_000
"""A clock that went back by less was slowed down. After a step the log is read for its last version, which may take seconds."""


class ClockSteps:
    """count: how many were seen. Small ones add up."""

    def __init__(self, clock: Clock) -> None:
        self.count = 0
        self._clock = clock
        self._most_us = 0

    def back_us(self) -> int:
        """By how much the clock has stepped back since this was asked last; 0 where it has not."""
        ahead_us = max(self._difference_us(), self._difference_us())  # a pause between the two clocks looks like a step
        back_us = self._most_us - ahead_us
        if back_us <= _STEP_US:
            self._most_us = max(self._most_us, ahead_us)
            return 0
        self.count += 1
        self._most_us = ahead_us
        return back_us

    def _difference_us(self) -> int:
        return self._clock.now_us() - int(self._clock.monotonic() * 1_000_000)
