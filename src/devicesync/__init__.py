"""devicesync: device profiles that are never stale.

Every registration is pushed, through one log, into the cache that telemetry jobs read and into the database of record.

    open_log, open_cache, open_database     what a URL names
    Stores                                  cache and database as one: write, read (fills on a miss), restore, refill
    Batch, Record, DeadLetter               records of any log into both stores in one call; the refused ones come back
    Updater                                 the loop of `devicesync update`: poll, apply a batch, keep the refused, commit
    Enricher, AsyncEnricher                 telemetry events in, events with devicedata out, over Redis by its URL
    decode, Event, Refused                  one record of the log, or why it is refused
    State, state_of, join                   what is known of a device, and how two such knowledges join
    profile_of, digest                      what readers see, and what two stores compare

Every error is a DevicesyncError with a `hint`, except Refused: WrongUse, Unavailable (the same call may be repeated), Held,
NewerData, Damaged, TooManyBad. A name is loaded when it is first used. docs/library.md has an example, docs/law.md the law.

Rooms: law, log, dead_letters, cache, database, archive, enrich, status, jobs, api, assembly, cli.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devicesync.assembly.opening import open_cache, open_database, open_log
    from devicesync.dead_letters.port import DeadLetter
    from devicesync.enrich.async_enricher import AsyncEnricher
    from devicesync.enrich.enricher import Device, Enricher
    from devicesync.errors import Damaged, DevicesyncError, Held, NewerData, TooManyBad, Unavailable, WrongUse
    from devicesync.jobs.batch import Batch
    from devicesync.jobs.update import Updater
    from devicesync.law.event import Event, decode
    from devicesync.law.profile import digest, profile_of
    from devicesync.law.refusal import Refused
    from devicesync.law.state import State, join, state_of
    from devicesync.log.port import Record
    from devicesync.stores import Stores

    __version__: str

__all__ = [
    "AsyncEnricher",
    "Batch",
    "Damaged",
    "DeadLetter",
    "Device",
    "DevicesyncError",
    "Enricher",
    "Event",
    "Held",
    "NewerData",
    "Record",
    "Refused",
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
    "dead_letters.port": ("DeadLetter",),
    "enrich.async_enricher": ("AsyncEnricher",),
    "enrich.enricher": ("Device", "Enricher"),
    "errors": ("Damaged", "DevicesyncError", "Held", "NewerData", "TooManyBad", "Unavailable", "WrongUse"),
    "jobs.batch": ("Batch",),
    "jobs.update": ("Updater",),
    "law.event": ("Event", "decode"),
    "law.profile": ("digest", "profile_of"),
    "law.refusal": ("Refused",),
    "law.state": ("State", "join", "state_of"),
    "assembly.opening": ("open_cache", "open_database", "open_log"),
    "log.port": ("Record",),
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
