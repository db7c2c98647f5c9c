"""One way through every device of both stores, as a process of its own: its rate, CPU time a device and memory, as JSON.

python benchmarks/sweeping.py REDIS_PORT CASSANDRA_PORT KEYSPACE bare|sweep|digests|again
"""

import json
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import redis
from clock import Clock

from devicesync.assembly.opening import open_cache, open_database
from devicesync.cli.process import stop_on_signals
from devicesync.database.cassandra.call import Call
from devicesync.database.cassandra.connect import connect
from devicesync.database.cassandra.driver import Driver, Failed
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.database.port import Database
from devicesync.jobs.audit.held_ids import Sample, gather
from devicesync.jobs.audit.pace import Pace
from devicesync.jobs.audit.sweep import first_round
from devicesync.jobs.digests.reading import Wanted, in_database
from devicesync.jobs.digests.sums import Digests, digests_of
from devicesync.stores import Stores

ROWS, KEYS, RANGES = 500, 1000, 256
SOME_BUCKETS = frozenset(range(100))
COLUMNS = (
    "token(device_id), device_id, WRITETIME(api_last_updated_on), toUnixTimestamp(api_last_updated_on), "
    "toUnixTimestamp(first_access), toUnixTimestamp(user_declared_on), country_code, country, state_code, state, city, "
    "state_custom, state_code_custom, district_custom, user_declared_state, user_declared_district, device_spec, uaspec, "
    "fcm_token, producer_id"
)
PAGE = f"SELECT {COLUMNS} FROM {{keyspace}}.device_profile WHERE token(device_id) >= ? AND token(device_id) <= ? LIMIT ?"


def main() -> None:
    redis_port, cassandra_port, keyspace, way = sys.argv[1:]
    stop_on_signals()  # the garbage collector's thresholds, as in every long-running command
    database = f"cassandra://127.0.0.1:{cassandra_port}/{keyspace}"
    clock = Clock()
    if way == "bare":
        driver, client = connect(CassandraUrl.parse(database), "auto"), redis.Redis(port=int(redis_port), db=2)
        clock.start()
        devices = rows(driver)
        hashes(client)
    else:
        stores = Stores(open_cache(f"redis://127.0.0.1:{redis_port}/2"), open_database(database))
        clock.start()
        devices = sweep(stores) if way == "sweep" else digests(stores.database, None if way == "digests" else SOME_BUCKETS)
    figures = clock.stop(devices)
    print(json.dumps(figures | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def rows(driver: Driver) -> int:
    """Read every row, page by page; how many."""
    count = 0
    for number in range(RANGES):
        start, end = (-(2**63) + 2**64 * spot // RANGES for spot in (number, number + 1))
        while True:
            (page,) = driver.run([[Call(PAGE, (start, end - 1, ROWS))]])
            assert not isinstance(page, Failed), page
            count += len(page)
            if len(page) < ROWS:
                break
            start = page[-1][0] + 1
    return count


def hashes(client: Any) -> None:
    """Read every hash that a scan finds."""
    cursor = -1
    while cursor:
        cursor, keys = client.scan(max(cursor, 0), count=KEYS)
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.hgetall(key)
        pipeline.execute()


def sweep(stores: Stores) -> int:
    """Both directions; how many devices were checked."""
    with tempfile.TemporaryDirectory() as directory:
        gather(stores.cache, stores.database.range_of, Path(directory), set(range(stores.database.ranges)), lambda ids: None)
        rounds = (first_round(at, stores, Path(directory), Sample(1), Pace(0)) for at in range(stores.database.ranges))
        found = [*rounds]
    assert not sum(each.suspects for each in found)
    return sum(each.checked for each in found)


def digests(database: Database, wanted: Wanted) -> int:
    """What `digests make` reads of a database: all of it, or the devices of some buckets; how many it found."""
    read = Digests()
    for number in range(database.ranges):
        for page in in_database(number, database, wanted):
            for device in digests_of(page):
                read.add(device)
    return read.profiles.all[0]


if __name__ == "__main__":
    main()
