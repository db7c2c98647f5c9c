"""devicesync as a library: events through the law into both stores, and a profile read back. Nothing to install beside."""

import time
from contextlib import closing

import devicesync

LINES = [
    b'{"device_id": "232455", "version": 1566383863167000, "state": "Karnataka", "city": "Bengaluru"}',
    b'{"device_id": "232455", "version": 1566297463000000, "city": "Mysuru", "fcm_token": "token-1"}',  # late
    b'{"device_id": "232455", "version": "yesterday"}',
]


def changes_of(lines: list[bytes]) -> dict[str, devicesync.State]:
    """Per device the join of its events, in whatever order they come."""
    changes: dict[str, devicesync.State] = {}
    for line in lines:
        try:
            event = devicesync.decode(line, taken_ms=time.time_ns() // 1_000_000)
        except devicesync.Refused as refused:
            print("refused:", refused)
            continue
        known = changes.get(event.device_id, devicesync.State())
        changes[event.device_id] = devicesync.join(known, devicesync.state_of(event))
    return changes


cache, database = devicesync.open_cache("memory:"), devicesync.open_database("sqlite:device-profile.db")
with closing(devicesync.Stores(cache, database)) as stores:
    stores.write(changes_of(LINES))
    profile = devicesync.profile_of(stores.read("232455"))
    print(profile)
    print(devicesync.digest(profile))
