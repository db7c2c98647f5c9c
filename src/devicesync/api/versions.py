"""The versions that this process gives. They only grow, and the law accepts each of them."""

import asyncio
import math
from typing import Any

import structlog

from devicesync.api.answers import PartitionUnavailable, RequestError
from devicesync.api.clients import Address
from devicesync.api.clock_steps import ClockSteps
from devicesync.api.fuse import Fuse
from devicesync.api.known import KnownPartitions
from devicesync.api.last_version import Newest
from devicesync.clock import SYSTEM, Clock
from devicesync.errors import Unavailable
from devicesync.law.refusal import Refused
from devicesync.law.version import guard, next_version
from devicesync.log.port import Log

_FOLLOWED_SECONDS = 1.0
_AT_ONCE_US = 1_000
"""A version that is ahead by less is past when its registration is acknowledged."""
_PASSED_US = 10_000
"""So far past a version that was ahead another process may be: it gives a µs more for each registration."""
_UNDER_WAY_US = 60_000_000
"""So long a registration may be on its way into the log, and still be acknowledged: a producer tries for 10 s."""
_MEASURED_SECONDS = 10.0
_RETRY_AFTER_SECONDS = 30
_RETRY_AFTER_LOOK_SECONDS = 2
_PATIENCE_SECONDS = 10.0
"""So long a registration waits while the log is asked: it may have taken a million records in the last minutes."""
_log: Any = structlog.get_logger("devicesync")


class Versions:
    """Versions in µs, for one event loop. `ready` must have returned once before any is given.

    A former process may have given versions later than now: its clock was ahead, or ours was set back. So the last version is
    read from the log's newest records. What it gave last may still be on its way into the log. Another process may do so now,
    when the clock steps back. So for a while what is new is read every second. While the last version lies ahead, and 10 ms
    longer, that is read before each registration: a device may have had its last one at another process.
    A partition without a leader tells nothing, so its devices get no version; it is read when it has a leader again.
    fuse: of the log.
    """

    def __init__(self, log: Log, max_clock_ahead_ms: int, fuse: Fuse, clock: Clock = SYSTEM) -> None:
        self._newest = Newest(log, clock, max_clock_ahead_ms)
        self._fuse = fuse
        self._clock = clock
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._given = self._last = self._taken = 0  # the highest of all; that counts as given; that the log has
        self._known, self._follows = KnownPartitions(log), True
        self._learned_at = 0.0
        self._ahead_us = 0  # until then the log is read before each registration
        self._steps = ClockSteps(clock)
        self._followed_us = clock.now_us() + _UNDER_WAY_US  # until then the log is asked again and again, whatever it tells
        self._learning: asyncio.Task[bool] | None = None
        self._looks = self._learned = 0  # at the log: how many have begun, and which one has ended last
        self._said_log = self._said_clock = False
        self._behind_ms, self._measured_at, self._measures = 0, 0.0, 0

    def close(self) -> None:
        """Give up asking the log, a second from now: who waits for its last version is answered that it is not known."""
        self._said_log = True  # it is no fault
        self._newest.end_soon()

    async def ready(self, client: Address | None = None, key: bytes | None = None, look: int = 0) -> int:
        """Return when the log's last version is known. Raises RequestError, also where the log takes seconds to tell it.

        Await it last before a version is asked for: meanwhile the clock may step, and another process give later ones.
        client: who may have to wait. key: of the device's records; None where any device will do.
        look: what it returned for this request before. While versions lie ahead, one look that began since it came is enough.
        """
        self.look()
        deadline = self._clock.monotonic() + _PATIENCE_SECONDS
        look = look or self._looks + 1
        while self._known.lacks(key) or (self._learned < look and self._clock.now_us() < self._ahead_us):
            if self._known.is_leaderless(key) and not self._is_due():
                raise PartitionUnavailable
            with self._fuse.call(client):
                if self._learning is None:
                    self._looks += 1
                    self._learning = asyncio.create_task(self._learn(self._looks))
                try:
                    learned = await asyncio.wait_for(asyncio.shield(self._learning), deadline - self._clock.monotonic())
                except TimeoutError:
                    said = "the log is still read for its last version; try again"
                    raise RequestError(503, "LOG_UNAVAILABLE", said, _RETRY_AFTER_LOOK_SECONDS) from None
                if not learned:
                    raise Unavailable("the log can't be asked for its last version")
        return look

    def next(self) -> int:
        """A new version. Raises RequestError while the law would refuse it.

        One in a while measures the log's clock: for it this machine's counts, and the others go on by the last measurement. Where
        that was right, none of them fills the log with lines that the law refuses.
        """
        now_us = self._clock.now_us()
        version = next_version(self._last, now_us)
        measures = self._is_measurement_old()
        self._check(version, now_us // 1000 if measures else self._log_now_ms())
        self._last, self._given = version, max(self._given, version)
        if measures:
            self._measured_at, self._measures = self._clock.monotonic(), version
        return version

    def not_sent(self, version: int) -> None:
        """Note that no line with this version goes to the log: where it was to measure the log's clock, the next one does."""
        if version == self._measures:
            self._measured_at = -math.inf

    def may_be_logged(self, version: int) -> None:
        """Note that the log may have this version: nobody knows. What is given later is later, if the law accepts it."""
        if self._is_taken(version, self._log_now_ms()):
            self._take(version)

    def check_logged(self, version: int, taken_ms: int | None) -> None:
        """Return if the law accepts this version, which is in the log now. Else it counts as not given. Raises RequestError.

        taken_ms: when the log took it, None where the log can't say.
        """
        if taken_ms is None:
            taken_ms = self._log_now_ms()
        else:
            given_ms = min(version, self._clock.now_us()) // 1000  # not now: a machine may sleep while the log is written
            self._behind_ms, self._measured_at = max(given_ms - taken_ms, 0), self._clock.monotonic()
        try:
            self._check(version, taken_ms)
        except RequestError:
            self._last, self._ahead_us = self._taken, 0
            raise
        self._said_clock = False
        self._take(version)

    def _take(self, version: int) -> None:
        self._taken = max(self._taken, min(version, self._given))  # an erase may lie ahead of all that was given
        self._last = max(self._last, self._taken)  # which an earlier one may have lowered, that was refused

    def look(self) -> None:
        """Look at the clock. Forget what is known where another process may have given later versions.

        Call it now and then, also while nobody registers: the clock may be ahead for a while.
        """
        if self._has_stepped() or (self._follows and self._is_due()):
            self._known.forget()

    def doubt(self, key: bytes) -> None:
        """Note that the partition of this key may have no leader."""
        self._known.doubt(key)

    def _is_due(self) -> bool:
        return self._clock.monotonic() >= self._learned_at + _FOLLOWED_SECONDS

    def _has_stepped(self) -> bool:
        now_us = self._clock.now_us()
        back_us = self._steps.back_us()
        if self._last > now_us + _AT_ONCE_US:
            self._ahead_us = self._last + _PASSED_US
        if back_us:
            self._behind_ms = max(self._behind_ms - back_us // 1000, 0)
            # What was given before may still be on its way into the log, which takes it for so long.
            self._followed_us = max(self._followed_us, now_us + min(back_us, self._max_clock_ahead_ms * 1000))
        goes_on = self._known.lacks(None) or max(self._last, self._followed_us) > now_us
        self._follows = back_us > 0 or (self._follows and goes_on)
        return back_us > 0

    def _check(self, version: int, taken_ms: int) -> None:
        """Return if the law accepts a version that the log takes at that time. Raises RequestError."""
        if self._is_taken(version, taken_ms):
            return
        if not self._said_clock:
            ahead_seconds = (version - taken_ms * 1000) // 1_000_000
            hint = (
                "registrations are refused until the clock is right again; set it, by NTP for example. Where it was ahead for a "
                "while and is right now, a max_clock_ahead_seconds above version_ahead_seconds lets them go on"
            )
            _log.error("the clock stepped back, or lies ahead of the log's", version_ahead_seconds=ahead_seconds, hint=hint)
        self._said_clock = True
        raise RequestError(503, "CLOCK_STEPPED_BACK", "the clock of this service is wrong; try again", _RETRY_AFTER_SECONDS)

    def for_erase(self, known: int) -> int:
        """Return a version later than `known`, which the stores have. Raises RequestError while the law would refuse it.

        The device's version may come from another clock, so it does not move the versions of this process: see `has_given`.
        """
        given = self.next()
        version = max(given, known + 1)
        if version > given and not self._is_taken(version, self._log_now_ms()):
            self.not_sent(given)
            ahead_seconds = (known - self._clock.now_us()) // 1_000_000
            said = f"the profile lies {ahead_seconds} s past now, by another clock, so that the log would refuse an erase of it"
            raise RequestError(409, "PROFILE_AHEAD", said)
        return version

    def has_given(self, version: int) -> bool:
        """Whether this process gives only later versions than this one from now on."""
        return version <= self._last

    def check_asked(self, min_version: int) -> None:
        """Return if a profile of this version can be there now or soon. Raises RequestError."""
        if min_version > self._clock.now_us() + self._max_clock_ahead_ms * 1000:
            raise RequestError(400, "INVALID_REQUEST", "min_version lies so far past now that no registration can have it")

    @property
    def stepped_back(self) -> bool:
        """Whether no version can be given now, as far as is known. Who is told so may send registrations elsewhere meanwhile."""
        now_us = self._clock.now_us()
        log_now_ms = now_us // 1000 if self._is_measurement_old() else self._log_now_ms()
        return not self._is_taken(next_version(self._last, now_us), log_now_ms)

    def _is_taken(self, version: int, taken_ms: int) -> bool:
        try:
            guard(version, taken_ms=taken_ms, max_clock_ahead_ms=self._max_clock_ahead_ms)
        except Refused:
            return False
        return True

    def _log_now_ms(self) -> int:
        """The time by the log's clock, as measured last."""
        return self._clock.now_us() // 1000 - self._behind_ms

    def _is_measurement_old(self) -> bool:
        return self._clock.monotonic() - self._measured_at >= _MEASURED_SECONDS

    async def _learn(self, look: int) -> bool:
        steps = self._steps.count
        try:
            last, partitions = await asyncio.to_thread(self._newest.last_version)
        except Unavailable as error:
            if not self._said_log:
                _log.error("the log can't be asked for its last version", reason=str(error), hint=error.hint)
            self._said_log = True
            return False
        finally:
            self._learning = None
        self._last, self._taken = max(self._last, last), max(self._taken, last)
        self._has_stepped()
        if self._known.learned(partitions):  # what was given meanwhile may be on its way into those that have a leader again
            self._followed_us, self._follows = max(self._followed_us, self._clock.now_us() + _UNDER_WAY_US), True
        if steps != self._steps.count:  # it stepped while the log was asked, which left out what was not past now then
            self._known.forget()
        self._learned, self._learned_at = look, self._clock.monotonic()
        self._follows |= self._last > self._clock.now_us()  # a clock was ahead: other processes may still give later ones
        return True
