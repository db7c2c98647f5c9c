"""The last version that any process may have given, as the log's newest records tell it."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import structlog

from devicesync.clock import Clock
from devicesync.errors import Unavailable
from devicesync.jobs.erase import says_given
from devicesync.law.event import decode
from devicesync.law.refusal import Refused
from devicesync.log.port import Log, Partitions, Record

_MOST = 1_000_000
"""So many of the log's newest records say at most where the versions of a former process ended."""
_LEFT_SECONDS = 1.0
"""So long a look goes on when the service stops: most looks take a few milliseconds."""

_VERSION = re.compile(rb'"version"\s*:\s*(\d{1,19})')
_Place = tuple[int, int]
"""An offset, and when the log took the record there."""
_log: Any = structlog.get_logger("devicesync")


class Newest:
    """The log's newest records, as they tell the last version that was given. Use it from one thread at a time."""

    def __init__(self, log: Log, clock: Clock, max_clock_ahead_ms: int) -> None:
        self._log = log
        self._clock = clock
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._seen: dict[int, _Place] = {}
        self._seen_us = 0
        self._ends_at = math.inf

    def end_soon(self) -> None:
        """Let the look that is under way, and each later one, raise Unavailable if it lasts longer than a second from now."""
        self._ends_at = self._clock.monotonic() + _LEFT_SECONDS

    def last_version(self) -> tuple[int, Partitions]:
        """The highest version past now that a former process may have given, 0 where they tell none; and the log's partitions.

        Those without a leader tell nothing.

        A version lies no further past the time at which the log took it than a clock may lie ahead. So the records since that
        long ago are looked at, and what follows them: the log's clock may have been set back. What an earlier look has seen is
        left out, unless our clock has gone back since: that look left out what was not past now then. Raises Unavailable.
        """
        now_us, partitions = self._clock.now_us(), self._log.partitions()
        look = self._look(self._seen if now_us >= self._seen_us else {}, now_us, partitions.leaderless)
        if look.is_of_another_log:
            look = self._look({}, now_us, partitions.leaderless)
        if look.is_cut_off:
            _log.warning("the log's newest records do not reach as far back as a clock may lie ahead", records=look.read.total())
        self._seen, self._seen_us = look.seen, now_us
        return look.last, partitions

    def _look(self, seen: Mapping[int, _Place], now_us: int, but: Collection[int]) -> "_Look":
        look = _Look(seen, now_us, self._max_clock_ahead_ms)
        offsets = {partition: offset for partition, (offset, _) in seen.items()}
        for record in self._log.taken_since(now_us // 1000 - self._max_clock_ahead_ms, _MOST, offsets, but):
            if self._clock.monotonic() > self._ends_at:
                raise Unavailable("the log is read for its last version, and the service stops")
            look.at(record)
        return look


class _Look:
    """One look at the log's newest records, those of each partition in their order.

    last: the highest version that they tell. read: how many they are, of each partition.
    is_of_another_log: an earlier look saw another record in the place of one.
    seen: the offset and the time of the last record of each partition up to which a later look would see nothing else.
    """

    def __init__(self, seen: Mapping[int, _Place], now_us: int, max_clock_ahead_ms: int) -> None:
        self.last = 0
        self.read = Counter[int]()
        self.is_of_another_log = False
        self.seen: dict[int, _Place] = {}
        self._moving: set[int] = set()
        self._seen_before = seen
        self._now_us = now_us
        self._max_clock_ahead_ms = max_clock_ahead_ms

    def at(self, record: Record) -> None:
        """Look at the next one."""
        partition, place = record.partition, (record.offset, record.taken_ms)
        self.read[partition] += 1
        seen = self._seen_before.get(partition, place)
        self.is_of_another_log |= seen[0] == place[0] and seen != place
        if record.logged_ms not in (None, record.taken_ms):  # a producer's time past now: it counts as taken now, at each look
            self._moving.add(partition)
        if partition not in self._moving:
            self.seen[partition] = place
        if _may_tell(record, max(self.last, self._now_us)):
            self.last = max(self.last, _told_by(record, self._max_clock_ahead_ms))

    @property
    def is_cut_off(self) -> bool:
        """Whether there may have been more to look at."""
        return max(self.read.values(), default=0) >= _MOST // max(len(self.read), 1)


def _may_tell(record: Record, version: int) -> bool:
    """Whether it can show a later version to have been given. Decoding each would take ten times as long."""
    found = _VERSION.findall(record.value or b"")
    return record.taken_ms * 1000 + 999 > version or any(int(digits) > version for digits in found)


def _told_by(record: Record, max_clock_ahead_ms: int) -> int:
    """The highest version that this record shows to have been given; 0 where it shows none.

    A registration with a version of its own tells it, and so does an erase whose version the API gave. What else is valid may
    follow another clock: it tells its version, or the time at which the log took it, whichever is less.
    """
    value = record.value or b""
    try:
        event = decode(value, taken_ms=record.taken_ms, logged_ms=record.logged_ms, max_clock_ahead_ms=max_clock_ahead_ms)
    except Refused:
        return 0
    is_told = says_given(value) if event.erase else b'"version"' in value
    return event.version if is_told else min(event.version, record.taken_ms * 1000 + 999)
