"""The limit that stops a job when nearly everything is refused: a bad deploy must not drain the log into the dead letters."""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable

from devicesync.clock import SYSTEM, Clock
from devicesync.errors import TooManyBad, Unavailable

_ASK_SECONDS = 1.0
_PIECE_MS = 5_000
_MOST_PIECES = 100_000
"""Of the time by the log's clock: nearly six days of a backlog."""


class RefusalLimit:
    """Raises TooManyBad once `limit` (a share, 0 to 1) of the last `window` records were refused, all through `seconds`.

    The time is that at which the log took the records: a burst of a stranger's bad records stops nobody. But the records of a
    backlog come one partition after the other, the bad ones maybe first. So every partition that has more to read must have
    been read so far, too. And of all that was read the share must hold for that time: a partition with large records is read
    last, and alone. Where producers give the times, that of reading counts: else who sends a burst says that it took a minute.

    With a limit of 1 nothing ever stops.

    unread: returns the partitions that have more to read; set it where records come of several. It may raise Unavailable.
    """

    unread: Callable[[], Iterable[int]]

    def __init__(self, limit: float, window: int, seconds: float, clock: Clock = SYSTEM) -> None:
        self.unread = tuple
        self._window = window
        self._limit = limit
        self._allowed = math.ceil(limit * window)
        self._bad: deque[int] = deque(maxlen=self._allowed)
        self._seen = 0
        self._least_ms = seconds * 1000
        self._clock = clock
        self._asked_at = -math.inf
        self._over_since_ms: int | None = None
        self._read_ms: dict[int, int] = {}  # of each partition, since then
        self._good_at, self._bad_at = Counter[int](), Counter[int]()  # by the time at which the log took them

    def good(self, count: int = 1, taken_ms: int | None = None) -> None:
        """So many records were accepted. taken_ms: when the log took them; None where nobody knows."""
        self._seen += count
        if taken_ms is not None:
            _note(self._good_at, taken_ms, count)

    def bad(self, reason: str, taken_ms: int, partition: int = 0) -> None:
        """One record of this partition was refused; the log had taken it at that time."""
        if not self._is_over():  # good records may have come since the last bad one
            self._over_since_ms = None
            self._read_ms.clear()
        self._seen += 1
        self._bad.append(self._seen)
        _note(self._bad_at, taken_ms, 1)
        if not self._is_over():
            return
        if self._over_since_ms is None:
            self._over_since_ms = taken_ms
        self._read_ms[partition] = taken_ms
        if self._limit < 1 and self._lasts(taken_ms, self._over_since_ms + self._least_ms):
            raise TooManyBad(
                f"{self._allowed} of the last {self._window} records were refused, the last one as {reason}, "
                f"and no fewer for {self._least_ms / 1000:.0f} s",
                "`devicesync dead-letters list` shows those before this batch, which stays in the log and comes again; "
                f"mend the producer, or set bad_share_limit = 1 (now {self._limit}) to let them all pass into the dead letters",
            )

    def _is_over(self) -> bool:
        return len(self._bad) == self._allowed and self._seen >= self._window and self._bad[0] > self._seen - self._window

    def _lasts(self, taken_ms: int, until_ms: float) -> bool:
        """Whether all has been read that the log took up to then, and the share holds in the last `seconds` that were read.

        The log is asked once a second at most.
        """
        now = self._clock.monotonic()
        if taken_ms < until_ms or now < self._asked_at + _ASK_SECONDS:
            return False
        try:
            read_ms = min((self._read_ms.get(partition, -1) for partition in self.unread()), default=taken_ms)
        except Unavailable:
            read_ms = -1
        lasts = read_ms >= until_ms and self._holds_up_to(min(read_ms, taken_ms))
        if not lasts:
            self._asked_at = self._clock.monotonic()
        return lasts

    def _holds_up_to(self, read_ms: int) -> bool:
        pieces = range(int((read_ms - self._least_ms) // _PIECE_MS) + 1, read_ms // _PIECE_MS)
        good, bad = (sum(counts[piece] for piece in pieces) for counts in (self._good_at, self._bad_at))
        return bad >= self._limit * (good + bad)


def _note(counts: Counter[int], taken_ms: int, count: int) -> None:
    """Add so many records of that time. Where that makes too many pieces, the oldest are forgotten."""
    counts[taken_ms // _PIECE_MS] += count
    if len(counts) > _MOST_PIECES:
        for piece in sorted(counts)[: _MOST_PIECES // 2]:
            del counts[piece]
