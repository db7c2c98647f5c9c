"""One device's way through log, cache and database."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from devicesync.law.event import decode
from devicesync.law.profile import digest
from devicesync.law.refusal import Refused
from devicesync.law.seen import Seen
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.port import Log, Record
from devicesync.status.words import value_text
from devicesync.stores import Stores

NEWEST_RECORDS = 5_000
"""So many of the log's newest records are looked through."""

_MOST_BYTES = 8 << 20
"""Of a device's records so many bytes are decoded: large ones may take 10 ms each."""

_MOST_CHARACTERS = 2_000
"""Of a value, as a person reads it. The largest map has 133,000."""

HIDDEN = {"fcm_token"}
"""What is compared, and not shown: whoever has the token can write to the device's owner."""


class _Named(msgspec.Struct):
    """A record, as far as it tells whose it is."""

    device_id: str


_read_name = msgspec.json.Decoder(_Named).decode


class Logged(msgspec.Struct):
    """A record of the device that the log still has. taken_ms: when the log took it. version: in µs."""

    partition: int
    offset: int
    taken_ms: int
    version: int
    erase: bool


class ComparedField(msgspec.Struct):
    """A field as cache and database have it, as text; None where it has no value. differs: they are not the same.

    Of a long value the text has the beginning.
    """

    field: str
    cache: str | None
    database: str | None
    differs: bool


class Side(msgspec.Struct):
    """What readers of one store see of the device. is_ours: False where another program wrote the whole entry.

    time_left_ms: in how many ms the cache will lose the entry; None where it stays.
    """

    version: int
    digest: str | None
    is_erased: bool
    is_ours: bool
    time_left_ms: int | None = None


class Trace(msgspec.Struct):
    """The newest records first. cache, database: None where readers see nothing."""

    device_id: str
    logged: list[Logged]
    cache: Side | None
    database: Side | None
    fields: list[ComparedField]

    @property
    def is_known(self) -> bool:
        """Whether anything knows the device."""
        return bool(self.logged or self.cache or self.database)

    @property
    def differs(self) -> bool:
        """Whether readers see something else in the cache than in the database; not where the cache has lost the device."""
        return self.cache is not None and msgspec.structs.replace(self.cache, time_left_ms=None) != self.database

    @property
    def is_on_its_way(self) -> bool:
        """Whether the log has something newer than both stores."""
        held = max((side.version for side in (self.cache, self.database) if side), default=0)
        return bool(self.logged) and self.logged[0].version > held


def trace(
    device_id: str,
    log: Log,
    stores: Stores,
    *,
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS,
    check: Callable[[], None] = lambda: None,
) -> Trace:
    """Look the device up everywhere, as readers see it; nothing is filled or changed. Raises Unavailable.

    max_clock_ahead_ms: the updaters' setting. What they refuse is not among the records.
    check: is called with each record. What it raises is raised: so it ends what takes long.
    """
    held = _last_of(device_id, log.newest(NEWEST_RECORDS), check)
    records = []
    for record in held:
        check()
        if found := _logged(device_id, record, max_clock_ahead_ms):
            records.append(found)
    records.sort(key=lambda found: found.version, reverse=True)
    database = stores.database.seen([device_id]).get(device_id)  # it is written first, so it is looked at first
    cache = stores.cache.seen([device_id]).get(device_id)
    left_ms = stores.cache.time_left_ms(device_id) if cache else None
    return Trace(device_id, records, _side(cache, left_ms), _side(database), _compared(cache, database))


def _side(seen: Seen | None, time_left_ms: int | None = None) -> Side | None:
    return seen and Side(seen.version, digest(seen.profile), seen.texts is None, seen.is_ours, time_left_ms)


def _last_of(device_id: str, records: Iterable[Record], check: Callable[[], None]) -> deque[Record]:
    """The last of them that may be the device's, _MOST_BYTES at most."""
    last: deque[Record] = deque()
    size = 0
    for record in records:
        check()
        if _may_be_of(device_id, record.value or b""):
            last.append(record)
            size += len(record.value or b"")
        while size > _MOST_BYTES:
            size -= len(last.popleft().value or b"")
    return last


def _may_be_of(device_id: str, value: bytes) -> bool:
    """Most records are another's: decoding them all takes long. With escapes an id may look otherwise."""
    if b"\\" not in value:
        return device_id.encode() in value
    try:
        return _read_name(value).device_id == device_id
    except (msgspec.MsgspecError, RecursionError):
        return device_id.encode() in value


def _logged(device_id: str, record: Record, max_clock_ahead_ms: int) -> Logged | None:
    value = record.value or b""
    try:
        event = decode(value, taken_ms=record.taken_ms, logged_ms=record.logged_ms, max_clock_ahead_ms=max_clock_ahead_ms)
    except Refused:
        return None
    if event.device_id != device_id:
        return None
    return Logged(record.partition, record.offset, record.taken_ms, event.version, event.erase)


def _compared(cache: Seen | None, database: Seen | None) -> list[ComparedField]:
    one, other = (cache and cache.profile) or {}, (database and database.profile) or {}
    compared = []
    for name in sorted({*one, *other}):
        differs = cache is not None and one.get(name) != other.get(name)
        compared.append(ComparedField(name, _text(name, one.get(name)), _text(name, other.get(name)), differs))
    return compared


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if name in HIDDEN:
        return "(hidden)"
    text = value_text(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"
