"""Lookup: one device's state, from the cache filled from the database, or from the database alone."""

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.law.state import NOTHING, State


def lookup(device_id: str, cache: Cache, database: Database) -> State:
    """What the cache holds; on a miss, what the database holds, which is then also put into the cache.

    Raises Unavailable.
    """
    held = cache.read([device_id]).get(device_id)
    if held is not None:
        return held
    stored = database.read([device_id]).get(device_id)
    if stored is None:
        return NOTHING
    return cache.merge({device_id: stored}, create=True).known.get(device_id, stored)
