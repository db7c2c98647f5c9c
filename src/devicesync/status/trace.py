"""One device's way through log, cache and database."""

from typing import Any

import msgspec

from devicesync.law.event import decode
from devicesync.law.profile import view
from devicesync.law.refusal import Refused
from devicesync.law.state import NOTHING
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Log, Record
from devicesync.stores import Stores

NEWEST_RECORDS = 5_000
"""So many of the log's newest records are looked through."""

HIDDEN = {"fcm_token"}
"""What is compared, and not shown: whoever has the token can write to the device's owner."""


class Logged(msgspec.Struct):
    """A record of the device that the log still has. taken_ms: when the log took it. version: in µs."""

    partition: int
    offset: int
    taken_ms: int
    version: int
    erase: bool


class Difference(msgspec.Struct):
    """A field as cache and database have it, as text; None where it has no value. differs: they are not the same."""

    field: str
    cache: str | None
    database: str | None
    differs: bool


class Trace(msgspec.Struct):
    """The newest records first. cache, database: as `get --json` prints them; None where the cache does not hold the device."""

    device_id: str
    logged: list[Logged]
    cache: dict[str, Any] | None
    database: dict[str, Any]
    fields: list[Difference]

    @property
    def is_known(self) -> bool:
        """Whether anything knows the device."""
        return bool(self.logged or self.cache or self.database["version"])

    @property
    def differs(self) -> bool:
        """Whether cache and database differ, where the cache holds the device."""
        return self.cache is not None and any(self.cache[name] != self.database[name] for name in ("version", "digest", "erased"))

    @property
    def is_on_its_way(self) -> bool:
        """Whether the log has something newer than both stores."""
        held = max(self.database["version"] or 0, (self.cache or {}).get("version") or 0)
        return bool(self.logged) and self.logged[0].version > held


def trace(device_id: str, log: Log, stores: Stores) -> Trace:
    """Look the device up everywhere; nothing is filled or changed. Raises Unavailable."""
    records = [seen for record in log.newest(NEWEST_RECORDS) if (seen := _logged(device_id, record))]
    held = stores.cache.read([device_id]).get(device_id)
    cache = None if held is None else view(device_id, held)
    database = view(device_id, stores.database.read([device_id]).get(device_id, NOTHING))
    records.sort(key=lambda seen: seen.version, reverse=True)
    return Trace(device_id, records, cache, database, _compared(cache, database))


def _logged(device_id: str, record: Record) -> Logged | None:
    if record.value is None or (device_id.encode() not in record.value and b"\\" not in record.value):
        return None  # most records are another's: decoding them all takes long. With escapes an id may look otherwise
    try:
        ahead_ms = DEFAULT_MAX_CLOCK_AHEAD_MS
        event = decode(record.value, taken_ms=record.taken_ms, logged_ms=record.logged_ms, max_clock_ahead_ms=ahead_ms)
    except Refused:
        return None
    if event.device_id != device_id:
        return None
    return Logged(record.partition, record.offset, record.taken_ms, event.version, event.erase)


def _compared(cache: dict[str, Any] | None, database: dict[str, Any]) -> list[Difference]:
    one, other = (cache or {}).get("profile") or {}, database["profile"] or {}
    compared = []
    for name in sorted({*one, *other}):
        differs = cache is not None and one.get(name) != other.get(name)
        compared.append(Difference(name, _text(name, one.get(name)), _text(name, other.get(name)), differs))
    return compared


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name in HIDDEN:
        return "(hidden)"
    return ", ".join(f"{key}={entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value)
