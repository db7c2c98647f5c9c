"""A store read for its digests: all of it, or the devices of some buckets alone."""

from collections.abc import Collection, Iterator, Mapping

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.few import few_at_once
from devicesync.jobs.digests.sums import bucket_of
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State

Wanted = Collection[int] | None
"""Of which buckets; None: of all."""


def in_database(number: int, database: Database, wanted: Wanted) -> Iterator[dict[str, Seen]]:
    """What readers see in one range. Of some buckets alone: every id is read, and the rows of those. Raises Unavailable."""
    if wanted is None:
        yield from database.seen_in(number)
        return
    for ids in database.scan(number):
        for few in few_at_once(device_id for device_id in ids if bucket_of(device_id) in wanted):
            yield database.seen(few)


def in_cache(ids: Collection[str], cache: Cache, wanted: Wanted) -> Iterator[dict[str, Seen]]:
    """What readers see of these ids. Raises Unavailable."""
    yield from map(cache.seen, few_at_once(device_id for device_id in ids if wanted is None or bucket_of(device_id) in wanted))


def in_states(states: Mapping[str, State], wanted: Wanted) -> Iterator[dict[str, Seen]]:
    """What readers would see of these states."""
    yield {device_id: seen_of(state) for device_id, state in states.items() if wanted is None or bucket_of(device_id) in wanted}
