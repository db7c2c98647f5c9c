"""When the cache and the database differ about a device, and in which way."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from devicesync.law.profile import digest
from devicesync.law.seen import Seen
from devicesync.stores import Stores

MISSING_IN_CACHE, MISSING_IN_DATABASE = "missing_in_cache", "missing_in_database"
STALE_IN_CACHE, STALE_IN_DATABASE = "stale_in_cache", "stale_in_database"
CONTENT_DIFFERS, RESURRECTED = "content_differs", "resurrected"
KINDS = (MISSING_IN_CACHE, MISSING_IN_DATABASE, STALE_IN_CACHE, STALE_IN_DATABASE, CONTENT_DIFFERS, RESURRECTED)
"""Each differing device counts as one of these (docs/audit.md)."""


class Sides(NamedTuple):
    """What readers see of one device in each store; None where they see nothing."""

    cache: Seen | None
    database: Seen | None

    @property
    def version(self) -> int:
        """The newest version that either shows, in µs."""
        return max((side.version for side in self if side), default=0)


class Difference(NamedTuple):
    """A device whose stores differ, in which way, and what each shows."""

    device_id: str
    kind: str
    cache: Seen | None
    database: Seen | None

    def document(self) -> dict[str, Any]:
        """As `audit --json` shows it (docs/reference/json.md, "audit")."""
        return {
            "device_id": self.device_id,
            "kind": self.kind,
            "cache": _document(self.cache),
            "database": _document(self.database),
        }


def look(device_ids: Sequence[str], stores: Stores) -> dict[str, Sides]:
    """What both stores show of these devices. Raises Unavailable.

    The database is looked at first, and a change is written there first: so whatever it shows should have come to the cache soon.
    """
    in_database = stores.database.seen(device_ids)
    return beside(in_database, stores, device_ids)


def beside(in_database: dict[str, Seen], stores: Stores, device_ids: Sequence[str]) -> dict[str, Sides]:
    """What the database showed of these devices, and what the cache shows of them now. Raises Unavailable.

    A cache of this process alone holds nothing by itself: what is compared is what a reader would be filled with.
    """
    in_cache = _filled(device_ids, in_database, stores) if stores.cache.is_private else stores.cache.seen(device_ids)
    return {device_id: Sides(in_cache.get(device_id), in_database.get(device_id)) for device_id in device_ids}


def _filled(device_ids: Sequence[str], in_database: Collection[str], stores: Stores) -> dict[str, Seen]:
    """What is seen in a cache after it was filled: of the largest devices it does not hold many at once."""
    found: dict[str, Seen] = {}
    for some in (device_ids, *([device_id] for device_id in in_database)):
        if left := [device_id for device_id in some if device_id not in found]:
            stores.cache.forget(left)
            stores.refill([device_id for device_id in left if device_id in in_database])
            found |= stores.cache.seen(left)
    return found


def kind_of(sides: Sides) -> str | None:
    """The kind of difference; None where the stores agree. The cache need not hold an erased device."""
    cache, database = sides
    if cache and database and cache.texts == database.texts and cache.version == database.version > database.erased:
        return None if cache.is_ours else MISSING_IN_CACHE
    if cache and cache.texts == {} and database and database.texts is not None:
        cache = None  # nothing of it can be read: it tells neither a version nor a profile
    shown = [side for side in (cache, database) if side]
    erased = max((side.erased for side in shown), default=0)
    if erased and any(side.texts is not None and side.version <= erased for side in shown):
        return RESURRECTED
    if cache is None or not cache.is_held:
        if database is not None and database.texts is not None:
            return MISSING_IN_CACHE
        return MISSING_IN_DATABASE if cache else None
    return _kind_of_held(cache, database) if database else MISSING_IN_DATABASE


def _kind_of_held(cache: Seen, database: Seen) -> str | None:
    if cache.version != database.version:
        return STALE_IN_CACHE if cache.version < database.version else STALE_IN_DATABASE
    return None if cache.profile == database.profile else CONTENT_DIFFERS


def lasting(sides: Sides, version: int) -> tuple[str | None, bool]:
    """The kind of difference, and whether it is the same one as before: the store that is behind did not get past `version`.

    version: the newest that either store showed, or that the log had, some time ago, in µs. A device that goes on changing may
    be caught on its way each time it is looked at. That is no lasting difference.
    """
    database, cache = sides.database, sides.cache
    kind = kind_of(sides)
    at = database.version if database else 0
    if at < version and kind in {None, STALE_IN_CACHE, MISSING_IN_CACHE}:  # both are behind the log
        return (STALE_IN_DATABASE if database else MISSING_IN_DATABASE), True
    if kind is None:
        return None, False
    behind = min(at, cache.version if cache and cache.is_held else 0)
    return kind, behind < version or behind == sides.version == version


def _document(seen: Seen | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    profile = seen.profile
    return {"version": seen.version or None, "erased": profile is None, "digest": digest(profile), "profile": profile}
