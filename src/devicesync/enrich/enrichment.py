"""Enrichment of a batch: read each event, know its device, splice. Where the knowledge comes from is told from outside."""

import re
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as FlightTimeout
from typing import NamedTuple, Protocol

from devicesync.clock import SYSTEM
from devicesync.enrich.counts import Counts
from devicesync.enrich.near_cache import Boarded, Entry, NearCache
from devicesync.enrich.splice import Telemetry, read, spliced
from devicesync.errors import Unavailable
from devicesync.law.refusal import Refused

_MAX_ID_BYTES = 256
_FLIGHT_SECONDS = 60.0
UNKNOWN = Entry(b"", 0, 0.0)
_is_odd = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]").search
_MARK = b'"devicedata_reason":"cache_unavailable"'


class Knowledge(Protocol):
    """Where devices are looked up."""

    @property
    def proven_at(self) -> float:
        """What the near cache remembers was true at this time of Clock.monotonic, or later."""
        ...

    def read(self, boarded: Boarded) -> Mapping[str, Entry]:
        """Read what is `mine` there, and land it. Raises Unavailable, and cancels the flight."""
        ...


class Recall(NamedTuple):
    """What is remembered of some devices, what has to be read, and when the memory was proven last."""

    known: dict[str, Entry]
    missing: list[str]
    proven_at: float


class Batch(NamedTuple):
    """Events that were read: each with what it says, or why it is refused; and what is remembered of their devices."""

    events: Sequence[bytes]
    found: list[Telemetry | Refused]
    recall: Recall


class Enrichment:
    """stamped: whether events tell version and age. max_age_seconds: what was proven longer ago is not used.

    mark: whether events go on without devicedata while the cache is away, where else Unavailable is raised.
    """

    def __init__(
        self, near: NearCache, knowledge: Knowledge, *, stamped: bool, max_age_seconds: float, mark: bool = False
    ) -> None:
        self.counts = Counts()
        self._near = near
        self._knowledge = knowledge
        self._stamped = stamped
        self._max_age_seconds = max_age_seconds
        self._mark = mark
        self._counting = threading.Lock()

    def enrich(self, events: Sequence[bytes], until_bytes: int) -> list[bytes | Refused]:
        """See Enricher.enrich."""
        batch = self.read(events)
        self.fetch(batch)
        return self.splice(batch, until_bytes)

    def read(self, events: Sequence[bytes]) -> Batch:
        """The first step: read the events, and remember. Does no input or output."""
        found: list[Telemetry | Refused] = []
        for event in events:
            try:
                found.append(read(event))
            except Refused as refused:
                found.append(refused)
        device_ids = [telemetry.context.did for telemetry in found if not isinstance(telemetry, Refused)]
        return Batch(events, found, self.recall(device_ids))

    def recall(self, device_ids: Iterable[str]) -> Recall:
        """What is remembered, and what has to be read. Does no input or output."""
        recall = Recall({}, [], self._knowledge.proven_at)  # before anything is taken that may be forgotten meanwhile
        known, get = recall.known, self._near.get
        is_proven = SYSTEM.monotonic() - recall.proven_at <= self._max_age_seconds
        for device_id in set(device_ids):
            entry = get(device_id) if is_proven else None
            if entry is None and can_be_asked(device_id):
                recall.missing.append(device_id)
            else:
                known[device_id] = entry or UNKNOWN
        return recall

    def fetch(self, batch: Batch) -> None:
        """The second step: what is missing is read, once for all who miss it. Raises Unavailable."""
        if not batch.recall.missing:
            return
        try:
            batch.recall.known.update(self.known(batch.recall.missing))
        except Unavailable:
            if not self._mark:
                raise

    def known(self, device_ids: Sequence[str]) -> dict[str, Entry]:
        """What is known of these, read together with others who read them. Raises Unavailable."""
        boarded = self._near.board(device_ids)
        entries = dict(self._knowledge.read(boarded)) if boarded.mine else {}
        for device_id, flight in boarded.others.items():
            try:
                entries[device_id] = flight.result(_FLIGHT_SECONDS)[device_id]
            except FlightTimeout:
                raise Unavailable("can't read the cache: another thread that reads it is stuck") from None
        return entries

    def splice(self, batch: Batch, until_bytes: int = sys.maxsize) -> list[bytes | Refused]:
        """The last step. Does no input or output."""
        known, missing, proven_at = batch.recall
        missed = frozenset(missing)
        now = SYSTEM.monotonic()
        counts = Counts()
        done: list[bytes | Refused] = []
        size = 0
        for event, telemetry in zip(batch.events, batch.found, strict=True):
            if size >= until_bytes:
                break
            try:
                if isinstance(telemetry, Refused):
                    raise telemetry
                device_id = telemetry.context.did
                if not device_id:
                    counts.without_device += 1
                    size += len(event)
                    done.append(event)
                    continue
                members, is_known = self._members(known.get(device_id), proven_at, now, counts)
                enriched = spliced(event, telemetry, members, known=is_known)
                size += len(enriched)
                done.append(enriched)
            except Refused as refused:
                counts.refused += 1
                done.append(refused)
            else:
                if device_id in missed:
                    counts.misses += 1
                else:
                    counts.hits += 1
        counts.events = len(done)
        with self._counting:
            self.counts.add(counts)
        return done

    def _members(self, entry: Entry | None, proven_at: float, now: float, counts: Counts) -> tuple[bytes, bool]:
        """What goes into an event, and whether its device is known."""
        if entry is None:
            counts.marked += 1
            return _MARK, False
        if not entry.members:
            counts.unknown += 1
            return b"", False
        age = age_ms(entry, now, proven_at)
        counts.used(age)
        return (b'%b,"devicedata_age_ms":%d' % (entry.members, age) if self._stamped else entry.members), True


def age_ms(entry: Entry, now: float, proven_at: float) -> int:
    """How long ago the entry was certainly true."""
    return max(0, int((now - (max(proven_at, entry.read_at))) * 1000))


def can_be_asked(device_id: str) -> bool:
    """Whether a device can have that id; no other is asked for."""
    return device_id != "" and not _is_odd(device_id) and len(device_id.encode()) <= _MAX_ID_BYTES
