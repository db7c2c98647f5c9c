"""Device profiles that are never stale: each registration goes through one log into the cache and the database.

The cache is what telemetry jobs read. The database is the record. A program can bring records of any log into both:

    from devicesync import Batch, Record, Stores, open_cache, open_database, profile_of

    stores = Stores(open_cache("memory:"), open_database("sqlite:device-profile.db"))
    event = b'{"device_id": "232455", "version": 1566383863167000, "city": "Pune"}'  # a version is in µs, taken_ms in ms
    Batch(stores, source="my-log").apply([Record(event, partition=0, offset=0, taken_ms=1566383863167, logged_ms=None)])
    print(profile_of(stores.read("232455")))
    stores.close()

The names:

    open_log, open_cache, open_database     open what a URL names
    Stores                                  the cache and the database as one: write changes, read a device, restore states from a
                                            backup, refill the cache from the database
    Batch, Record, Folded, DeadLetter       apply records to both stores in one call; the refused records come back
    Updater                                 the loop of `devicesync update`: poll, apply a batch, keep the refused, commit
    Reader, DeadLetters, RefusalLimit       what an Updater needs: a log's reader, where to keep the refused, when to stop
    Enricher, AsyncEnricher, Device         add devicedata to telemetry events, from Redis
    decode, Event, Refused                  read one record of the log; Refused says why it is not valid
    State, state_of, join                   what is known of a device; `join` makes one state of two
    profile_of, digest                      what readers see of a state; a digest to compare profiles

The errors. Each is a DevicesyncError, and has a `hint`, which says what to do:

    WrongUse        a URL or an argument is wrong
    Unavailable     a log or store can't be reached; the same call may be repeated
    Held            another process works on this data directory
    Replaced        a file or topic was taken away under a running process
    NewerData       the data was written by a newer devicesync
    Damaged         a file of a backup is missing, or not what was written
    TooManyBad      nearly every record is refused, so the job stopped

Refused is a ValueError. A name is loaded when it is first used. docs/library.md says more, and docs/law.md has the rules.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devicesync.assembly.opening import open_cache, open_database, open_log
    from devicesync.dead_letters.port import DeadLetter, DeadLetters
    from devicesync.enrich.async_enricher import AsyncEnricher
    from devicesync.enrich.enricher import Device, Enricher
    from devicesync.errors import Damaged, DevicesyncError, Held, NewerData, Replaced, TooManyBad, Unavailable, WrongUse
    from devicesync.jobs.batch import Batch, Folded
    from devicesync.jobs.shared.refusal_limit import RefusalLimit
    from devicesync.jobs.update import Updater
    from devicesync.law.event import Event, decode
    from devicesync.law.profile import digest, profile_of
    from devicesync.law.refusal import Refused
    from devicesync.law.state import State, join, state_of
    from devicesync.log.port import Reader, Record
    from devicesync.stores import Stores

    __version__: str

__all__ = [
    "AsyncEnricher",
    "Batch",
    "Damaged",
    "DeadLetter",
    "DeadLetters",
    "Device",
    "DevicesyncError",
    "Enricher",
    "Event",
    "Folded",
    "Held",
    "NewerData",
    "Reader",
    "Record",
    "RefusalLimit",
    "Refused",
    "Replaced",
    "State",
    "Stores",
    "TooManyBad",
    "Unavailable",
    "Updater",
    "WrongUse",
    "__version__",
    "decode",
    "digest",
    "join",
    "open_cache",
    "open_database",
    "open_log",
    "profile_of",
    "state_of",
]

_ROOMS = {
    "dead_letters.port": ("DeadLetter", "DeadLetters"),
    "enrich.async_enricher": ("AsyncEnricher",),
    "enrich.enricher": ("Device", "Enricher"),
    "errors": ("Damaged", "DevicesyncError", "Held", "NewerData", "Replaced", "TooManyBad", "Unavailable", "WrongUse"),
    "jobs.batch": ("Batch", "Folded"),
    "jobs.shared.refusal_limit": ("RefusalLimit",),
    "jobs.update": ("Updater",),
    "law.event": ("Event", "decode"),
    "law.profile": ("digest", "profile_of"),
    "law.refusal": ("Refused",),
    "law.state": ("State", "join", "state_of"),
    "assembly.opening": ("open_cache", "open_database", "open_log"),
    "log.port": ("Reader", "Record"),
    "stores": ("Stores",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415 - takes 10 ms

            return version("devicesync")
        if name not in _ROOM_OF:
            raise AttributeError(f"module 'devicesync' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 - with its first use

        return getattr(import_module(f"devicesync.{_ROOM_OF[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
