"""Telemetry events and the profiles of their devices, as the benchmarks of enrichment use them."""

import json
from typing import Any

from devicesync.assembly.opening import open_cache
from devicesync.law.event import decode
from devicesync.law.state import state_of

DEVICES = 20_000
BASE = 1_600_000_000_000_000


def device(number: int) -> str:
    return f"{number:032x}"


def event(device_id: str, number: int) -> bytes:
    """1.2 KB, as an app sends them."""
    found: dict[str, Any] = {
        "eid": "INTERACT", "ets": 1_566_383_863_167 + number, "ver": "3.0", "mid": f"INTERACT:{number:032x}",
        "actor": {"id": "0f3e9a2c-7d56-4a57-9b3c-1d2e3f4a5b6c", "type": "User"},
        "context": {
            "channel": "0123221617357783046602", "env": "home", "sid": "5b7e8c9d-0a1b-4c2d-8e3f-4a5b6c7d8e9f", "did": device_id,
            "pdata": {"id": "prod.app", "ver": "2.2.204", "pid": "sunbird.app"},
            "cdata": [{"id": f"{spot:024x}", "type": "Collection"} for spot in range(6)],
        },
        "object": {"id": "do_3127951231098880001", "type": "Content", "version": "1.0"},
        "edata": {"type": "TOUCH", "id": "content-clicked", "pageid": "library", "extra": {"pos": [{"x": 10.5, "y": 7}] * 4}},
        "tags": [], "@timestamp": "2019-08-21T10:37:43.167Z", "syncts": 1_566_383_863_999,
    }  # fmt: skip
    body = json.dumps(found, separators=(",", ":"))
    padding = "x" * (1200 - len(body) - len(',"pad":""'))
    return f'{body[:-1]},"pad":"{padding}"}}'.encode()


def profile(device_id: str, version: int) -> Any:
    place = {
        "country_code": "IN", "country": "India", "state_code": "KA", "state": "Karnataka", "city": f"city {version}",
        "state_custom": "Karnataka", "state_code_custom": "29", "district_custom": "Mysuru",
        "device_spec": {"os": "Android 6.0", "make": "Motorola XT1706", "cpu": "abi: armeabi-v7a ARMv7 Processor rev 3"},
        "uaspec": {"agent": "Chrome", "ver": "76.0", "system": "Android", "raw": "Mozilla/5.0 (Linux; Android 6.0)"},
        "user_declared_state": "Karnataka", "user_declared_district": "Mysuru", "first_access": 1_565_328_282_703,
    }  # fmt: skip
    return state_of(decode(json.dumps({"device_id": device_id, "version": BASE + version, **place}).encode(), taken_ms=2**42))


def fill(url: str, devices: int) -> None:
    cache = open_cache(url)
    for start in range(0, devices, 1000):
        ids = [device(number) for number in range(start, min(start + 1000, devices))]
        cache.merge({device_id: profile(device_id, 1) for device_id in ids}, cache.look(ids).tickets)
    cache.close()
