"""Delivery: bringing events into the log, and knowing when both stores have them.

Three ways with one promise. Into a journal: with nobody else at work this process runs the updater itself; beside an
updater that runs already, it appends to that one's log and waits for it. Into Kafka, where any number of updaters may run:
it writes both stores itself as well.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from devicesync.clock import SYSTEM
from devicesync.errors import Unavailable
from devicesync.jobs.batch import join_events
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.update import READER, Updater
from devicesync.law.event import Event
from devicesync.law.refusal import Refused
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS, guard
from devicesync.log.port import Log, NumberedLog, NumberedReader
from devicesync.stores import Stores

_POLL_SECONDS = 0.005
_HOLDER_CHECK_SECONDS = 0.5


class Delivery(Protocol):
    """Events in; not for use by several threads."""

    def send(self, values: Sequence[bytes], events: Sequence[Event]) -> None:
        """Put valid events into the log, durably. Waits while the log can't take them; raises Stopped.

        events: the same, decoded.
        """
        ...

    def wait_until_stored(self) -> None:
        """Return when both stores have everything sent, and what was in a journal before. Raises Stopped."""
        ...


class OwnUpdater:
    """Delivery by an updater in this process, which holds the data directory. Takes what was left in the log first."""

    def __init__(self, journal: NumberedLog, reader: NumberedReader, updater: Updater, stop: threading.Event) -> None:
        self._journal = journal
        self._reader = reader
        self._updater = updater
        self._patience = Patience(stop)
        self._stop = stop
        self._catch_up(journal.end())

    def send(self, values: Sequence[bytes], events: Sequence[Event]) -> None:
        """See Delivery."""
        if not values:
            return
        first = self._patience.until_it_works(self._journal.append, values)
        self._catch_up(first)
        if self._reader.position == first:
            # Nobody came in between: what is decoded already need not be read back.
            self._reader.skip(len(values))
            self._updater.write(join_events(events))
        self._catch_up(first + len(values))

    def wait_until_stored(self) -> None:
        """See Delivery."""

    def _catch_up(self, end: int) -> None:
        while self._reader.position < end:
            if self._stop.is_set():
                raise Stopped
            self._updater.step(0)
        self._updater.finish()


class Direct:
    """Delivery into a log that other processes read, and into both stores at once: the law bears that they do it again."""

    def __init__(
        self, log: Log, stores: Stores, stop: threading.Event, max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS
    ) -> None:
        self._log = log
        self._stores = stores
        self._patience = Patience(stop)
        self._max_clock_ahead_ms = max_clock_ahead_ms

    def send(self, values: Sequence[bytes], events: Sequence[Event]) -> None:
        """See Delivery. Raises Unavailable where this clock is so far ahead of the log's that the updaters refuse the events."""
        if not values:
            return
        keys = [event.device_id.encode() for event in events]
        self._patience.until_it_works(self._log.append, values, keys)
        self._check_clock(events)
        changes = join_events(events)
        self._patience.until_it_works(self._stores.write, changes)

    def wait_until_stored(self) -> None:
        """See Delivery."""

    def _check_clock(self, events: Sequence[Event]) -> None:
        taken_ms = self._log.taken_ms()
        if taken_ms is None:
            return
        newest = max(event.version for event in events)
        try:
            guard(newest, taken_ms=taken_ms, max_clock_ahead_ms=self._max_clock_ahead_ms)
        except Refused as refused:
            raise Unavailable(
                f"past the log's clock, so the updaters refuse it: {refused.detail}",
                "set this machine's clock, by NTP for example, and try again",
            ) from refused


class BesideUpdater:
    """Delivery through an updater in another process.

    take_over: tries to become the updater; called now and then while waiting, since the other one may be gone.
    """

    def __init__(self, journal: NumberedLog, stop: threading.Event, take_over: Callable[[], OwnUpdater | None]) -> None:
        self._journal = journal
        self._stop = stop
        self._patience = Patience(stop)
        self._take_over = take_over
        self._end = journal.end()

    def send(self, values: Sequence[bytes], events: Sequence[Event]) -> None:
        """See Delivery."""
        del events
        if values:
            self._end = self._patience.until_it_works(self._journal.append, values) + len(values)

    def wait_until_stored(self) -> None:
        """See Delivery."""
        look_again = SYSTEM.monotonic() + _HOLDER_CHECK_SECONDS
        while self._journal.committed(READER) < self._end:
            if self._stop.wait(_POLL_SECONDS):
                raise Stopped
            if SYSTEM.monotonic() >= look_again:
                if self._take_over():
                    return
                look_again = SYSTEM.monotonic() + _HOLDER_CHECK_SECONDS
