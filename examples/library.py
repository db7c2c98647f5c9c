"""devicesync as a library: an engine's records through the law into both stores, and a profile read back.

Nothing to install beside. Where the records come from, and how their position is kept, is the engine's matter.
"""

import time
from contextlib import closing

import devicesync

LINES = [
    b'{"device_id": "232455", "version": 1566383863167000, "state": "Karnataka", "city": "Bengaluru"}',
    b'{"device_id": "232455", "version": 1566297463000000, "city": "Mysuru", "fcm_token": "token-1"}',  # late
    b'{"device_id": "232455", "version": "yesterday"}',
]
now_ms = time.time_ns() // 1_000_000
records = [
    devicesync.Record(line, partition=0, offset=offset, taken_ms=now_ms, logged_ms=now_ms) for offset, line in enumerate(LINES)
]
cache, database = devicesync.open_cache("memory:"), devicesync.open_database("sqlite:device-profile.db")
with closing(devicesync.Stores(cache, database)) as stores:
    folded = devicesync.Batch(stores, source="my-topic").apply(records)
    print(folded.applied, "events of", len(folded.changes), "device")
    for letter in folded.dead:  # keep these, then commit the position
        print("refused:", letter.source, letter.offset, letter.reason, letter.detail)
    profile = devicesync.profile_of(stores.read("232455"))
    print(profile)
    print(devicesync.digest(profile))
