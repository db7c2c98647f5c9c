"""The comparison at the end: what the topic holds, joined by the law, against what both stores say."""

from collections.abc import Mapping
from contextlib import closing
from typing import NamedTuple

from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import connect
from devicesync.database.cassandra import CassandraDatabase, CassandraUrl
from devicesync.law.event import decode
from devicesync.law.profile import view
from devicesync.law.refusal import Refused
from devicesync.law.state import State, join, state_of
from soak.system import System

_DEVICES_A_READ = 1000


class Verdict(NamedTuple):
    """records: in the topic. lost: registrations that the API acknowledged and the topic lacks. wrong: devices, by store."""

    records: int
    refused: int
    devices: int
    held: int
    lost: list[tuple[str, int]]
    wrong: list[str]


def verdict(system: System, acknowledged: set[tuple[str, int]]) -> Verdict:
    """Read the topic whole, and every device of it from both stores."""
    states: dict[str, State] = {}
    lost = set(acknowledged)
    records = refused = 0
    with closing(system.open_log()) as log:
        for partition, (start, end) in log.survey().bounds.items():
            for some in log.records(partition, start, end):
                for _, taken_ms, _, value, _ in some:
                    records += 1
                    try:
                        event = decode(value or b"", taken_ms=taken_ms or 0, logged_ms=taken_ms)
                    except Refused:
                        refused += 1
                        continue
                    lost.discard((event.device_id, event.version))
                    change = state_of(event)
                    known = states.get(event.device_id)
                    states[event.device_id] = join(known, change) if known else change
    wrong, held = _compared(system, states)
    return Verdict(records, refused, len(states), held, sorted(lost), wrong)


def _compared(system: System, states: Mapping[str, State]) -> tuple[list[str], int]:
    """Where a store says something else, and how many devices the cache holds: what it has forgotten is not wrong."""
    cache = RedisCache(connect(system.cache_url), tombstone_ttl_seconds=0, profile_ttl_seconds=0)
    wrong: list[str] = []
    held = 0
    names = sorted(states)
    with closing(cache), closing(CassandraDatabase(CassandraUrl.parse(system.database_url))) as database:
        for start in range(0, len(names), _DEVICES_A_READ):
            some = names[start : start + _DEVICES_A_READ]
            of_cache, of_database = cache.read(some), database.read(some)
            held += len(of_cache)
            for name in some:
                wanted = view(name, states[name])
                if name in of_cache and view(name, of_cache[name]) != wanted:
                    wrong.append(f"cache {name}: {view(name, of_cache[name])} is not {wanted}")
                if name not in of_database or view(name, of_database[name]) != wanted:
                    wrong.append(f"database {name}: {of_database.get(name)} is not {wanted}")
    return wrong, held
