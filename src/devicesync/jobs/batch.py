"""A batch of the log's records, from bytes to both stores: what lies between a poll and a commit."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from devicesync.dead_letters.port import DeadLetter
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.state import State, join, state_of
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Record
from devicesync.stores import Stores


class Folded(NamedTuple):
    """A batch, folded: per device the join of its events, the refused records, and how many events were valid."""

    changes: dict[str, State]
    dead: list[DeadLetter]
    applied: int


class Batch:
    """Applies records to both stores. The updater does it so, and so may any engine that delivers records at least once.

    source: names the log in the refused records.
    refusal_limit: what stops it when nearly every record is refused; without one nothing does.
    """

    def __init__(
        self,
        stores: Stores,
        *,
        source: str,
        max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
        refusal_limit: RefusalLimit | None = None,
    ) -> None:
        self._stores = stores
        self._source = source
        self._max_clock_ahead_ms = max_clock_ahead_ms
        self._refusal_limit = refusal_limit or RefusalLimit(1, 1, 0)

    def apply(self, records: Sequence[Record]) -> Folded:
        """Decode the records, guard their versions, join them per device, and write both stores, which have all when it returns.

        The refused records are returned. Keep them before the records are committed.

        Raises Unavailable: repeating the call is harmless. Raises TooManyBad before anything is written.
        """
        folded = self.fold(records)
        self.write(folded.changes)
        return folded

    def fold(self, records: Sequence[Record]) -> Folded:
        """Decode the records, guard their versions, and join them per device. Raises TooManyBad."""
        return fold(records, source=self._source, refusal_limit=self._refusal_limit, max_clock_ahead_ms=self._max_clock_ahead_ms)

    def write(self, changes: Mapping[str, State]) -> int:
        """Join changes into both stores; how many were not newer than what the cache held. Raises as `apply` does."""
        return self._stores.write(changes)


def fold(
    records: Sequence[Record],
    *,
    source: str,
    refusal_limit: RefusalLimit,
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
) -> Folded:
    """Decode records and join them per device. Raises TooManyBad when nearly everything is refused."""
    changes: dict[str, State] = {}
    dead: list[DeadLetter] = []
    for value, partition, offset, taken_ms, logged_ms, key, _, read_ms in records:
        try:
            if value is None:
                raise Refused("malformed_json", "the record is null: it has no value")  # noqa: TRY301 - a call costs every event
            event = decode(value, taken_ms=taken_ms, logged_ms=logged_ms, max_clock_ahead_ms=max_clock_ahead_ms)
        except Refused as refused:
            dead.append(DeadLetter(value, refused.reason, refused.detail, source, partition, offset, taken_ms, key))
            refusal_limit.bad(refused.reason, taken_ms if read_ms is None else read_ms, partition)
        else:
            refusal_limit.good(1, taken_ms if read_ms is None else read_ms)
            _join_into(changes, event)  # at once: the processor's caches do not hold the events of a whole batch
    return Folded(changes, dead, len(records) - len(dead))


def join_events(events: Iterable[Event]) -> dict[str, State]:
    """Per device the join of its events."""
    changes: dict[str, State] = {}
    for event in events:
        _join_into(changes, event)
    return changes


def _join_into(changes: dict[str, State], event: Event) -> None:
    state = state_of(event)
    before = changes.get(event.device_id)
    changes[event.device_id] = state if before is None else join(before, state)
