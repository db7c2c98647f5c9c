"""The tour's part that shows what all of this is for: telemetry of a device that has just moved."""

from collections.abc import Callable
from typing import Any

import msgspec

from devicesync.clock import SYSTEM
from devicesync.database.port import Database
from devicesync.enrich.from_database import DatabaseEnricher

_HOUR_MS = 3_600_000
_FIELDS = '"country_code":"IN","country":"India","state_code":"KA","state":"Karnataka"'


def telemetry(register: Callable[[str, bytes], object], database: Database, say: Callable[[str], None]) -> None:
    """A device registers in Bengaluru, a day ago, and now in Mysuru. register: returns when both stores have a device's event."""
    device_id = f"traveller-{SYSTEM.now_ms()}"
    event = b'{"eid":"INTERACT","ets":%d,"context":{"did":"%b"}}' % (SYSTEM.now_ms(), device_id.encode())
    enricher = DatabaseEnricher(database, stamped=True)
    register(device_id, _registration(device_id, "Bengaluru", SYSTEM.now_us() - 24 * _HOUR_MS * 1000))
    before = _enriched(enricher, event)
    register(device_id, _registration(device_id, "Mysuru", SYSTEM.now_us()))
    now = _enriched(enricher, event)
    say(f"\n3. Telemetry. A device registered in Bengaluru a day ago, and now in Mysuru. It sends\n\n   {event.decode()}\n")
    say(f"   before, from a copy of yesterday: {_told(before)}")
    say(f"   now, from devicesync enrich:      {_told(now)}")
    data = msgspec.json.encode(now["devicedata"]).decode()
    say(
        f'\n   "devicedata":{data[:110]}…,\n   "devicedata_version":{now["devicedata_version"]}, "flags":{{"device_denorm":true}}'
    )


def _registration(device_id: str, city: str, version: int) -> bytes:
    return f'{{"device_id":"{device_id}","version":{version},{_FIELDS},"city":"{city}"}}'.encode()


def _enriched(enricher: DatabaseEnricher, event: bytes) -> dict[str, Any]:
    """The event, with how old the registration was when it was enriched, in ms."""
    (done,) = enricher.enrich([event])
    found: dict[str, Any] = msgspec.json.decode(done if isinstance(done, bytes) else event)
    return found | {"old_ms": SYSTEM.now_ms() - found["devicedata_version"] // 1000}


def _told(event: dict[str, Any]) -> str:
    old_ms = event["old_ms"]
    return f"{event['devicedata']['city']}, {f'{old_ms} ms' if old_ms < _HOUR_MS else f'{old_ms / _HOUR_MS:.0f} h'} old"
