"""Enrichment: the library call at 95 % and 0 % hits, the plain way beside it, the memory of what is remembered, and staleness.

- rate: 1.2 KB events, 20,000 known devices, batches of 500. Expect 100,000 events/s per core at 95 % hits, 25,000 at 0 %, and
  15 times the plain way: json.loads, HGETALL per event, json.dumps. By the process's CPU time, since the core is what is counted.
- memory: of 100,000 remembered devices, by tracemalloc, beside what the near cache counts.
- staleness: while devices change 1,000 times a second, how many of 1,000,000 lookups gave an older version than the newest one
  that was readable in Redis 50 ms earlier. None in n means at most 3/n at 95 %.

benchmarks/enrich_kafka.py measures the job, and the other design.

    PYTHONPATH=. python benchmarks/enrich.py [--seconds N]
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from devstack.servers import Redis
from figures import tell
from telemetry import BASE, DEVICES, device, event, fill, profile

from devicesync.assembly.opening import open_cache
from devicesync.enrich.enricher import Enricher
from devicesync.enrich.near_cache import Entry, NearCache

BATCH = 500
BOUND_SECONDS = 0.05


def measured(name: str, batches: list[list[bytes]], enrich: Callable[[list[bytes]], object]) -> float:
    """Events a second of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        enrich(batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    events = sum(map(len, batches))
    rate = events / cpu
    print(
        f"  {name:<34}{rate:>10,.0f} events/s per core {events / wall:>10,.0f} by the clock   {cpu / events * 1e6:6.1f} µs",
        flush=True,
    )
    return rate


def batches_of(hits: float, batches: int, chance: random.Random) -> list[list[bytes]]:
    """hits: the share of events whose device is among the 1,000 that are used all the time; the others' come once each."""
    hot, cold = 1000, iter(range(1000, DEVICES))
    found = []
    number = 0
    for _ in range(batches):
        batch = []
        for _ in range(BATCH):
            number += 1
            batch.append(event(device(chance.randrange(hot) if chance.random() < hits else next(cold)), number))
        found.append(batch)
    return found


def rates(url: str, port: int) -> None:
    chance = random.Random(1)
    print(f"{len(event(device(1), 1))} bytes an event, batches of {BATCH}")
    plain_client: Any = redis.Redis(port=port, db=2, decode_responses=True)
    sample = batches_of(0.95, 4, chance)
    plain = measured("the plain way", sample, lambda batch: [plainly(plain_client, one) for one in batch])
    with Enricher(url) as enricher:
        warm = [event(device(number), number) for number in range(1000)]
        enricher.enrich_batch(warm)
        enricher.tracking.opened.wait()
        enricher.enrich_batch(warm)
        hot = measured("Enricher, all hits", batches_of(1.0, 200, chance), enricher.enrich_batch)
        at_95 = measured("Enricher, 95 % hits", batches_of(0.95, 200, chance), enricher.enrich_batch)
        at_0 = measured("Enricher, 0 % hits", batches_of(0.0, 36, chance), Fresh(url).enrich)
    tell(
        "enriching telemetry, 95 % of its devices remembered", at_95, "events/s per core", least=100_000, more=f"all: {hot:,.0f}"
    )
    tell("the same, against json.loads, HGETALL and json.dumps", at_95 / plain, "×", least=15)
    tell("the same, no device remembered", at_0, "events/s per core", least=25_000)


class Fresh:
    """An enricher that remembers nothing yet."""

    def __init__(self, url: str) -> None:
        self._enricher = Enricher(url)
        self._enricher.start()
        self.enrich = self._enricher.enrich_batch


def plainly(client: Any, value: bytes) -> bytes:
    found = json.loads(value)
    held = client.hgetall(found["context"]["did"])
    known = "api_last_updated_on" in held
    if known:
        found["devicedata"] = {
            "countrycode": held.get("country_code", ""), "country": held.get("country", ""),
            "statecode": held.get("state_code", ""), "state": held.get("state", ""), "city": held.get("city", ""),
            "statecustomcode": held.get("state_code_custom", ""), "statecustomname": held.get("state_custom", ""),
            "districtcustom": held.get("district_custom", ""), "devicespec": json.loads(held.get("devicespec", "{}")),
            "firstaccess": int(held.get("firstaccess", 0)),
            "userdeclared": {"state": held.get("user_declared_state", ""), "district": held.get("user_declared_district", "")},
        }  # fmt: skip
    found.setdefault("flags", {})["device_denorm"] = known
    return json.dumps(found).encode()


def memory(url: str) -> None:
    with Enricher(url) as enricher:
        enricher.lookup([device(1)])
        enricher.tracking.opened.wait()
        enricher.lookup([device(1)])
        entry = enricher.near.get(device(1))
    assert entry
    tracemalloc.start()
    near = NearCache(1 << 40)
    near.open()
    for start in range(0, 100_000, 1000):
        boarded = near.board([device(number) for number in range(start, start + 1000)])
        entries = {one: Entry(bytes(bytearray(entry.members)), entry.version + start, time.monotonic()) for one in boarded.mine}
        near.land(boarded.flight, entries)
    del boarded, entries
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    more = f"counted as {near.bytes / 1e6:.1f} MB; {len(entry.members)} bytes of devicedata each"
    tell("memory of 100,000 remembered devices", taken / 1e6, "MB", more=more)


def staleness(url: str, seconds: float, lookups: int) -> None:
    """A writer beside, in a process of its own, which tells what it wrote and when it was readable."""
    changed = 1000
    writer = subprocess.Popen([sys.executable, __file__, "--write", url], stdout=subprocess.PIPE, text=True)
    written: dict[str, list[tuple[float, int]]] = {device(number): [(0.0, BASE + 1)] for number in range(changed)}
    stop = threading.Event()

    def hear() -> None:
        assert writer.stdout
        for line in writer.stdout:
            device_id, readable_at, version = line.split()
            written[device_id].append((float(readable_at), int(version)))
            if stop.is_set():
                return

    hearing = threading.Thread(target=hear, daemon=True)
    hearing.start()
    ids = [*written]
    chance = random.Random(2)
    checks: list[tuple[float, list[tuple[str, int]]]] = []
    asked = stale = 0
    worst = 0.0
    began = time.monotonic()
    with Enricher(url) as enricher:
        while asked < lookups or time.monotonic() - began < seconds:
            some = chance.sample(ids, 100)
            at = time.monotonic()
            checks.append((at, [(one, found.version if found else 0) for one, found in enricher.lookup(some).items()]))
            asked += len(some)
            while checks and checks[0][0] < time.monotonic() - 1:  # by now the writer's line is here
                then, answers = checks.pop(0)
                for one, version in answers:
                    late = max(
                        (then - readable for readable, newer in written[one] if newer > version and readable < then), default=0.0
                    )
                    worst = max(worst, late)
                    stale += late > BOUND_SECONDS
        ran = time.monotonic() - began
        counts = enricher.near.invalidated
    stop.set()
    writer.kill()
    writer.wait()
    changes = sum(map(len, written.values())) - changed
    more = (
        f"of {asked:,}, at {changes / ran:,.0f} changes/s; 3/n = {3 / asked:.1e}; the oldest by {worst * 1000:.1f} ms; "
        f"{counts:,} invalidations in {ran:.0f} s"
    )
    tell(f"lookups older than what was readable {BOUND_SECONDS * 1000:.0f} ms before", stale, most=0, more=more)


def write(url: str) -> None:
    """A thousand changes a second of the first thousand devices, one by one; prints when each was readable."""
    cache = open_cache(url)
    chance = random.Random(3)
    version = 1
    began = time.monotonic()
    while True:
        version += 1
        some = chance.sample(range(1000), 10)
        cache.merge({device(number): profile(device(number), version) for number in some})
        readable_at = time.monotonic()
        print("\n".join(f"{device(number)} {readable_at} {BASE + version}" for number in some), flush=True)
        time.sleep(max(0.0, began + (version - 1) * 0.01 - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="at least so long for staleness [30]")
    parser.add_argument("--lookups", type=int, default=1_000_000, help="at least so many for staleness [1,000,000]")
    parser.add_argument("--write", metavar="URL", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
    with tempfile.TemporaryDirectory() as name:
        server = Redis(Path(name))
        server.start()
        try:
            url = f"redis://127.0.0.1:{server.port}/2"
            fill(url, DEVICES)
            rates(url, server.port)
            memory(url)
            staleness(url, arguments.seconds, arguments.lookups)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
