"""The world's time, and each process's clock: it may be ahead or behind, and step. Nothing waits."""

from tests.law.strategies import BASE_US
from tests.simulation.scheduler import done, gate

START_US = BASE_US + 100_000_000


class Time:
    """The time that servers have, in µs since 1970. It goes on with every turn, and by `pass_by`."""

    def __init__(self) -> None:
        self.now_us = START_US

    def now_ms(self) -> int:
        """In ms."""
        return self.now_us // 1000

    def now_s(self) -> int:
        """In s."""
        return self.now_us // 1_000_000

    def wait(self, seconds: float) -> None:
        """So many seconds pass."""
        self.pass_by(int(seconds * 1_000_000))

    def pass_by(self, us: int) -> None:
        """So many µs pass."""
        self.now_us += us


class ProcessClock:
    """See devicesync.clock.Clock. `ahead_us`: how far this machine's clock is ahead of the servers'."""

    def __init__(self, time: Time, ahead_us: int = 0) -> None:
        self._time = time
        self.ahead_us = ahead_us

    def step(self, us: int) -> None:
        """Somebody sets the clock."""
        self.ahead_us = us

    def now_us(self) -> int:
        """See Clock."""
        return self._time.now_us + self.ahead_us

    def now_ms(self) -> int:
        """In ms."""
        return self.now_us() // 1000

    def monotonic(self) -> float:
        """See Clock."""
        return self._time.now_us / 1_000_000

    def sleep(self, seconds: float) -> None:
        """See Clock: others go on meanwhile."""
        done(gate("sleeps"))
        self._time.wait(seconds)


class Stop:
    """As threading.Event: whether a process is asked to stop. Who waits lets others go on."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self._is_set = False

    def set(self) -> None:
        """SIGTERM."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it was."""
        return self._is_set

    def wait(self, seconds: float | None = None) -> bool:
        """A while passes, always the same: how long a pause is drawn is no matter of the seed."""
        del seconds
        done(gate("waits"))
        self._time.pass_by(50_000)
        return self._is_set
