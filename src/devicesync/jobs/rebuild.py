"""The whole cache from the database, part by part, through the law: nothing newer in the cache is overwritten."""

from devicesync.stores import Stores


def rebuild_part(part: int, stores: Stores) -> int:
    """Refill every device of one part of the database (Database.scan); how many.

    Rows that another job wrote are written through the law on the way. Raises Unavailable; repeating is harmless.
    """
    devices = 0
    for device_ids in stores.database.scan(part):
        stores.refill(device_ids)
        devices += len(device_ids)
    return devices
