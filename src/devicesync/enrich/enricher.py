"""The class that other people's jobs use: events in, events with devicedata out, over Redis by its URL."""

# ruff: noqa: E402 - the extra is asked for first

from devicesync.extras import require

require("redis")

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import msgspec

from devicesync.cache.redis_connect import connect
from devicesync.clock import SYSTEM
from devicesync.enrich.counts import Counts
from devicesync.enrich.enrichment import Enrichment, age_ms
from devicesync.enrich.lookup import FAILURES, Lookup
from devicesync.enrich.near_cache import Boarded, Entry, NearCache
from devicesync.enrich.tracking import Tracking
from devicesync.errors import Unavailable
from devicesync.law.refusal import Refused

MAX_BYTES = 256 << 20
MAX_AGE_MS = 1_000
TIMEOUT_SECONDS = 2.0


class Device(NamedTuple):
    """What the cache knows of a device.

    devicedata: as an enriched event has it (docs/enrichment.md). version: the profile's, in µs; 0 where another program wrote it.
    age_ms: this was true so many ms ago, or later.
    """

    devicedata: dict[str, Any]
    version: int
    age_ms: int


class Enricher:
    """Adds `devicedata` to telemetry events, from the Redis that devicesync keeps. Safe for several threads.

    url: redis://HOST:PORT/DB, redis+cluster://…, redis+sentinel://…, as for open_cache.
    max_bytes: about how much memory remembered profiles take.
    max_age_ms: the longest that a remembered profile is used without a proof that it has not changed since.
    stamped: whether events tell `devicedata_version` (µs) and `devicedata_age_ms`.
    mark_unavailable: while Redis is away, give events `flags.device_denorm: false` and `devicedata_reason: "cache_unavailable"`,
        rather than raise Unavailable.
    timeout_seconds: the longest that one call to Redis may take. A batch takes a few at most.

    Nothing is connected before the first use. Raises WrongUse for a URL that is not understood.
    """

    def __init__(
        self,
        url: str,
        *,
        max_bytes: int = MAX_BYTES,
        max_age_ms: int = MAX_AGE_MS,
        stamped: bool = True,
        mark_unavailable: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._connections = connect(url, timeout_seconds)
        self.near = NearCache(max_bytes)
        self.tracking = Tracking(self._connections, self.near, max_age_seconds=max_age_ms / 1000)
        self._lookup = Lookup(self._connections, stamped=stamped)
        self._timeout_seconds = timeout_seconds
        self.is_started = False
        self.steps = Enrichment(self.near, self, stamped=stamped, max_age_seconds=max_age_ms / 1000, mark=mark_unavailable)

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        return self.steps.counts

    @property
    def proven_at(self) -> float:
        """See enrichment.Knowledge."""
        return self.tracking.proven_at

    def read(self, boarded: Boarded) -> Mapping[str, Entry]:
        """See enrichment.Knowledge."""
        try:
            found = self._lookup.read(boarded.mine, self.tracking.servers)
        except BaseException as error:
            self.near.cancel(boarded.flight, boarded.mine, error)
            raise
        self.near.land(boarded.flight, found.entries, keep=found.may_keep)
        return found.entries

    def enrich(self, events: Sequence[bytes], until_bytes: int = sys.maxsize) -> list[bytes | Refused]:
        """Each event with what is known of its device, or why it is refused: its JSON is bad, or its `flags` no object.

        until_bytes: when the enriched events have so many bytes, those that follow are left out; one at least is done.
        Every event keeps its bytes; those without `context.did` go through untouched. Raises Unavailable, then no event was lost
        or changed and the call may be repeated.
        """
        self.start()
        return self.steps.enrich(events, until_bytes)

    def enrich_batch(self, events: Sequence[bytes]) -> list[bytes]:
        """As `enrich`, with each refused event as it came; `counts.refused` counts them. Raises Unavailable."""
        return [event if isinstance(done, Refused) else done for event, done in zip(events, self.enrich(events), strict=True)]

    def lookup(self, device_ids: Sequence[str]) -> dict[str, Device | None]:
        """What is known of each device; None for one that the cache does not hold, or that was erased. Raises Unavailable."""
        self.start()
        recall = self.steps.recall(device_ids)
        known = recall.known | (self.steps.known(recall.missing) if recall.missing else {})
        return _told(device_ids, known, recall.proven_at)

    def remembered(self, device_ids: Sequence[str]) -> dict[str, Device | None] | None:
        """As `lookup`, where nothing of it has to be read; else None."""
        recall = self.steps.recall(device_ids)
        return None if recall.missing else _told(device_ids, recall.known, recall.proven_at)

    def check(self) -> None:
        """Raise Unavailable unless Redis answers."""
        try:
            self._connections.ping()
        except FAILURES as error:
            raise Unavailable(
                f"can't reach the cache: {error}", "check that Redis runs and that the cache's URL names it"
            ) from error

    def start(self) -> None:
        """Begin to hear of changes, if that has not begun; waits for it a little. Every call does it by itself."""
        if not self.is_started:
            self.is_started = True
            self.tracking.start()
            self.tracking.opened.wait(self._timeout_seconds)

    def close(self) -> None:
        """Give back connections and threads."""
        self.tracking.stop()
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _told(device_ids: Sequence[str], known: Mapping[str, Entry], proven_at: float) -> dict[str, Device | None]:
    now = SYSTEM.monotonic()
    return {device_id: _device(known[device_id], now, proven_at) for device_id in device_ids}


def _device(entry: Entry, now: float, proven_at: float) -> Device | None:
    if not entry.members:
        return None
    devicedata: dict[str, Any] = msgspec.json.decode(b"{%b}" % entry.members)["devicedata"]
    return Device(devicedata, entry.version, age_ms(entry, now, proven_at))
