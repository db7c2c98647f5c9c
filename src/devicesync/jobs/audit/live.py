"""The live audit: what the log says must be in both stores 1 s later; what is not is looked at again after 10 s and 60 s."""

import heapq
import random
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from devicesync.clock import SYSTEM, Clock
from devicesync.few import FEW
from devicesync.jobs.audit.difference import Difference, Sides, lasting, look
from devicesync.jobs.audit.findings import Findings
from devicesync.jobs.audit.repair import repair
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.law.event import decode
from devicesync.law.refusal import Refused
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Reader, Record
from devicesync.stores import Stores

READER = "audit"
"""The live audit's name as a reader of the log."""

_AGES_MS = (1_000, 10_000, 60_000)
_POLL_SECONDS = 0.25
_RECORDS, _MOST_WAITING = 500, 20_000


class Expected(NamedTuple):
    """What both stores must show.

    due_ms: when to look. turn: how often it was looked at. version: at least this one, in µs.
    """

    due_ms: int
    turn: int
    device_id: str
    version: int


class LiveAudit:
    """Follows a log and looks at both stores. `findings` and `waiting` may be read by other threads.

    one_in: look at one in so many events, by chance. found: hears of each difference that lasted, and whether it was mended.
    """

    def __init__(
        self,
        reader: Reader,
        stores: Stores,
        *,
        stop: threading.Event,
        one_in: int = 1,
        repairs: bool = False,
        max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
        found: Callable[[Difference, bool], None] = lambda difference, is_mended: None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.findings = Findings()
        self._reader = reader
        self._stores = stores
        self._stop = stop
        self._one_in = one_in
        self._repairs = repairs
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._found = found
        self._clock = clock
        self._waiting: list[Expected] = []
        self._patience = Patience(stop, reader.keep_alive)

    @property
    def waiting(self) -> int:
        """How many events are still to be looked at."""
        return len(self._waiting)

    def run(self, *, until_caught_up: bool = False) -> None:
        """Work until `stop` is set, or with `until_caught_up` until the log has nothing more and nothing waits to be looked at.

        What cannot be reached is waited for.
        """
        try:
            while not self._stop.is_set():
                is_idle = not self.step(_POLL_SECONDS) and not self._waiting
                if until_caught_up and is_idle and self._patience.until_it_works(self._reader.caught_up):
                    return
        except Stopped:
            return

    def step(self, timeout_seconds: float) -> int:
        """Read on, and look at what is due; how many records were read. Raises Stopped when asked to stop while it waits."""
        records: list[Record] = []
        if len(self._waiting) < _MOST_WAITING:
            seconds = min(timeout_seconds, self._seconds_to_the_next())
            records = self._patience.until_it_works(self._reader.poll, _RECORDS, seconds)
        self._expect(records)
        while due := self._due():
            self._look(due)
        if records:
            self._patience.until_it_works(self._reader.commit)
        return len(records)

    def _expect(self, records: Sequence[Record]) -> None:
        now_ms = self._now_ms()
        for value, _, _, taken_ms, logged_ms, *_ in records:
            if value is None or (self._one_in > 1 and random.randrange(self._one_in)):  # noqa: S311 - a sample, no secret
                continue
            try:
                event = decode(value, taken_ms=taken_ms, logged_ms=logged_ms, max_clock_ahead_ms=self._max_clock_ahead_ms)
            except Refused:
                continue  # it is a dead letter, and no store's business
            due_ms = max(taken_ms + _AGES_MS[0], now_ms)
            heapq.heappush(self._waiting, Expected(due_ms, 0, event.device_id, event.version))

    def _due(self) -> list[Expected]:
        now_ms = self._now_ms()
        due: list[Expected] = []
        while self._waiting and self._waiting[0].due_ms <= now_ms and len(due) < FEW:
            due.append(heapq.heappop(self._waiting))
        return due

    def _look(self, due: Sequence[Expected]) -> None:
        device_ids = [*{expected.device_id: None for expected in due}]
        shown = self._patience.until_it_works(look, device_ids, self._stores)
        lasted: dict[str, Difference] = {}
        for expected in due:
            sides = shown[expected.device_id]
            kind, is_lasting = lasting(sides, expected.version)
            if kind and expected.turn + 1 < len(_AGES_MS):
                self._look_later(expected, sides)
                continue
            self.findings.checked += 1
            if kind and not is_lasting:
                self.findings.moving += 1
            elif kind and expected.device_id not in lasted:
                self.findings.differences[kind] += 1
                lasted[expected.device_id] = Difference(expected.device_id, kind, *sides)
        if lasted:
            self._tell(lasted)

    def _look_later(self, expected: Expected, sides: Sides) -> None:
        turn = expected.turn + 1
        due_ms = max(expected.due_ms, self._now_ms()) + _AGES_MS[turn] - _AGES_MS[turn - 1]
        heapq.heappush(self._waiting, Expected(due_ms, turn, expected.device_id, max(expected.version, sides.version)))

    def _tell(self, lasted: dict[str, Difference]) -> None:
        left = {*lasted}
        if self._repairs:
            self._patience.until_it_works(repair, [*lasted], self._stores)
            now = self._patience.until_it_works(look, [*lasted], self._stores)
            left = {device_id for device_id, sides in now.items() if all(lasting(sides, max(sides.version, 1)))}
            self.findings.repaired += len(lasted) - len(left)
        for device_id, difference in lasted.items():
            self._found(difference, device_id not in left)

    def _seconds_to_the_next(self) -> float:
        return max(self._waiting[0].due_ms - self._now_ms(), 0) / 1000 if self._waiting else _POLL_SECONDS

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000
