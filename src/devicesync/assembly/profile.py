"""`get`: what is known of a device. Nothing heavy is loaded here: people and scripts call it often."""

from contextlib import closing
from typing import Literal, NamedTuple

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.law.state import NOTHING, State
from devicesync.stores import Stores


class Found(NamedTuple):
    """A device's state. time_left_ms: in how many ms the cache will lose its entry; None where it stays."""

    state: State
    time_left_ms: int | None = None


def find(device_id: str, settings: Settings, store: Literal["cache", "database"]) -> Found:
    """What the cache holds of the device, filled from the database on a miss; or what the database holds. Raises Unavailable."""
    data_directory.check_format(settings.directory)
    if adapters.nothing_is_there(settings):
        return Found(NOTHING)
    with closing(adapters.open_database(settings, read_only=True)) as database:
        if store == "database":
            return Found(database.read([device_id]).get(device_id, NOTHING))
        with closing(adapters.open_cache(settings)) as cache:
            state = Stores(cache, database).read(device_id)
            return Found(state, cache.time_left_ms(device_id) if settings.profile_ttl_seconds else None)
