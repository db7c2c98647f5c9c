"""The whole cache from the database, part by part, through the law: nothing newer in the cache is overwritten."""

from devicesync.cache.port import Cache
from devicesync.database.port import Database


def rebuild_part(part: int, database: Database, cache: Cache) -> int:
    """Merge every device of one part of the database (Database.scan) into the cache; how many.

    Raises Unavailable; repeating is harmless.
    """
    devices = 0
    for states in database.scan(part):
        cache.merge(states, create=True)
        devices += len(states)
    return devices
