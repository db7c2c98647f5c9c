"""`get`: what is known of a device. Nothing heavy is loaded here: people and scripts call it often."""

from contextlib import closing
from typing import TYPE_CHECKING, Literal

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.config import Settings
from devicesync.law.state import NOTHING
from devicesync.stores import Stores

if TYPE_CHECKING:
    from devicesync.law.state import State


def state_in(device_id: str, settings: Settings, store: Literal["cache", "database"]) -> "State":
    """What the cache holds of the device, filled from the database on a miss; or what the database holds. Raises Unavailable."""
    data_directory.check_format(settings.directory)
    if not adapters.database_exists(settings):
        return NOTHING
    with closing(adapters.open_database(settings, read_only=True)) as database:
        if store == "database":
            return database.read([device_id]).get(device_id, NOTHING)
        with closing(adapters.open_cache(settings)) as cache:
            return Stores(cache, database).read(device_id)
