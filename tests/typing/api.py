"""What a type checker sees of `import devicesync`. mypy reads this file in `make check`; nothing runs it."""

from pathlib import Path
from typing import assert_type

import devicesync
from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.law.profile import Profile
from devicesync.log.full import BoundReader, FullLog
from devicesync.log.port import Log

log = devicesync.open_log("journal:device-profile.log", retention_seconds=60)
assert_type(log, FullLog)
as_log: Log = log
assert_type(log.reader("mine"), BoundReader)
assert_type(devicesync.open_log("kafka://h:9092/topic", group="mine"), FullLog)
cache, database = devicesync.open_cache("redis://h:6379/2"), devicesync.open_database("cassandra://h:9042/ks", driver="auto")
assert_type(cache, Cache)
assert_type(database, Database)
stores = devicesync.Stores(cache, database)

record = devicesync.Record(b"{}", partition=0, offset=7, taken_ms=1_700_000_000_000, logged_ms=None)
folded = devicesync.Batch(stores, source="my topic").apply([record])
assert_type(folded.applied, int)
assert_type(folded.dead, list[devicesync.DeadLetter])
assert_type(folded.dead[0].value, bytes | None)
assert_type(folded.changes, dict[str, devicesync.State])

event = devicesync.decode(b"{}", taken_ms=0)
assert_type(event, devicesync.Event)
assert_type(event.device_id, str)
assert_type(event.version, int)
state = devicesync.join(devicesync.State(), devicesync.state_of(event))
assert_type(state, devicesync.State)
assert_type(stores.read("d"), devicesync.State)
assert_type(stores.write({"d": state}), int)
profile = devicesync.profile_of(state)
assert_type(profile, Profile | None)
assert_type(devicesync.digest(profile), str | None)
assert_type(devicesync.__version__, str)

with devicesync.Enricher("redis://h:6379/2", max_bytes=1 << 20, stamped=False) as enricher:
    assert_type(enricher.enrich_batch([b"{}"]), list[bytes])
    assert_type(enricher.enrich([b"{}"]), list[bytes | devicesync.Refused])
    assert_type(enricher.lookup(["d"]), dict[str, devicesync.Device | None])


async def enrich(enricher: devicesync.AsyncEnricher) -> list[bytes]:
    """As in Enricher, and awaited."""
    assert_type(await enricher.lookup(["d"]), dict[str, devicesync.Device | None])
    return await enricher.enrich_batch([b"{}"])


def reason_of(refused: devicesync.Refused) -> str:
    """A refusal's reason is a text."""
    return refused.reason


def hint_of(
    error: devicesync.WrongUse
    | devicesync.Unavailable
    | devicesync.Held
    | devicesync.NewerData
    | devicesync.Damaged
    | devicesync.TooManyBad,
) -> str:
    """Every error is a DevicesyncError, with a hint."""
    base: devicesync.DevicesyncError = error
    return base.hint


devicesync.open_log(Path("device-profile.log"))  # type: ignore[arg-type]  # a URL is a text
devicesync.opne_log  # type: ignore[attr-defined]  # noqa: B018 - a wrong name is seen
