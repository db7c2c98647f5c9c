"""The whole cache from the database, range by range, through the law: nothing newer in the cache is overwritten."""

from devicesync.stores import Stores


def rebuild_range(number: int, stores: Stores) -> int:
    """Refill every device of one range of the database (Database.scan); how many.

    Rows that another job wrote are written through the law on the way. Raises Unavailable; repeating is harmless.
    """
    devices = 0
    for device_ids in stores.database.scan(number):
        stores.refill(device_ids)
        devices += len(device_ids)
    return devices
