"""devicesync.Enricher over real Redis servers: what it adds, that it hears of changes, and what it does when servers fail."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from devstack.servers import Redis, RedisCluster, RedisSentinel

from devicesync.assembly.opening import open_cache
from devicesync.cache.port import Cache
from devicesync.enrich.async_enricher import AsyncEnricher
from devicesync.enrich.enricher import Enricher
from devicesync.errors import Unavailable
from devicesync.law.event import decode
from devicesync.law.refusal import Refused
from devicesync.law.state import state_of
from tests import servers

DATABASE = 7
_MANY_SECONDS = 30.0


def event(device_id: str = "d1") -> bytes:
    return b'{"eid":"INTERACT","ets":1566383863167,"context":{"did":"%s"},"x":1.50}' % device_id.encode()


def register(cache: Cache, version: int, device_id: str = "d1", **fields: Any) -> None:
    """As the updater does it."""
    record = json.dumps({"device_id": device_id, "version": 1_600_000_000_000_000 + version, **fields}).encode()
    state = state_of(decode(record, taken_ms=time.time_ns() // 1_000_000))
    looked = cache.look([device_id])
    assert cache.merge({device_id: state}, looked.tickets).missing == []


def until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _MANY_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def city(enricher: Enricher, device_id: str = "d1") -> str:
    (done,) = enricher.enrich_batch([event(device_id)])
    return str(json.loads(done).get("devicedata", {}).get("city", "unknown"))


@pytest.fixture(scope="module")
def server() -> Redis:
    """One of our own: it is killed and frozen."""
    return servers.started(Redis)


@pytest.fixture
def client(server: Redis) -> Any:
    client = redis.Redis(port=server.port, db=DATABASE)
    client.flushall()
    return client


@pytest.fixture
def url(server: Redis) -> str:
    return f"redis://127.0.0.1:{server.port}/{DATABASE}"


@pytest.fixture
def cache(url: str, client: Any) -> Iterator[Cache]:
    del client  # it has emptied the server
    cache = open_cache(url)
    yield cache
    cache.close()


@pytest.fixture
def enricher(url: str) -> Iterator[Enricher]:
    with Enricher(url) as enricher:
        yield enricher


def test_an_event_gets_its_devices_data(cache: Cache, enricher: Enricher) -> None:
    place: dict[str, Any] = {
        "country_code": "IN",
        "country": "India",
        "state_code": "KA",
        "state": "Karnataka",
        "city": "Bengaluru",
    }
    declared: dict[str, Any] = {"user_declared_state": "Kerala", "user_declared_district": "Idukki"}
    custom: dict[str, Any] = {"state_custom": "Karnataka", "state_code_custom": "29", "district_custom": 'Bengaluru "Urban"'}
    rest: dict[str, Any] = {
        "device_spec": {"os": "Android 6.0"},
        "first_access": 1_565_328_282_703,
        "fcm_token": "t",
        "uaspec": {"raw": "x"},
    }
    register(cache, 7, **place, **declared, **custom, **rest)
    (done,) = enricher.enrich([event()])
    assert isinstance(done, bytes)
    assert done.startswith(event()[:-1] + b',"devicedata":{')
    added = json.loads(done)
    assert added["flags"] == {"device_denorm": True}
    assert added["devicedata_version"] == 1_600_000_000_000_007
    assert 0 <= added["devicedata_age_ms"] < 1000 * _MANY_SECONDS
    assert added["devicedata"] == {
        "countrycode": "IN", "country": "India", "statecode": "KA", "state": "Karnataka", "city": "Bengaluru",
        "statecustomcode": "29", "statecustomname": "Karnataka", "districtcustom": 'Bengaluru "Urban"',
        "devicespec": {"os": "Android 6.0"}, "firstaccess": 1_565_328_282_703, "iso3166statecode": "IN-KA",
        "userdeclared": {"state": "Kerala", "district": "Idukki"},
    }  # fmt: skip
    (device,) = enricher.lookup(["d1"]).values()
    assert device is not None
    assert (device.devicedata, device.version) == (added["devicedata"], added["devicedata_version"])


def test_events_that_are_not_enriched(cache: Cache, client: Any, url: str) -> None:
    """Without a device, with one that nobody knows, with an erased one, with a hash of another program, and bad ones."""
    register(cache, 1, "erased", city="Mysuru")
    erase = decode(b'{"device_id":"erased","erase":true,"version":1600000000000009}', taken_ms=time.time_ns() // 1_000_000)
    cache.merge({"erased": state_of(erase)})
    client.hset("blank", mapping={"devicespec": "{}", "firstaccess": "0", "state": ""})
    client.set("text", "no hash")
    client.hset("foreign", mapping={"api_last_updated_on": "1", "city": b"\xff", "devicespec": "{'os':", "firstaccess": "x"})
    with Enricher(url, stamped=False) as enricher:
        without, *unknown, foreign, bad, number = enricher.enrich(
            [
                b'{"ets":1}',
                *map(event, ("erased", "blank", "text", "nobody", "x" * 300, "a\\u0001b")),
                event("foreign"),
                b"{",
                b"7",
            ]
        )
        assert without == b'{"ets":1}'
        for done in unknown:
            assert isinstance(done, bytes)
            assert done.endswith(b',"x":1.50,"flags":{"device_denorm":false}}')
        assert isinstance(foreign, bytes)
        assert json.loads(foreign)["devicedata"]["city"] == "\ufffd"
        assert b"devicedata_version" not in foreign
        assert isinstance(bad, Refused)
        assert isinstance(number, Refused)
        assert (bad.reason, number.reason) == ("malformed_json", "not_an_object")
        assert enricher.enrich_batch([b"{"]) == [b"{"]
        counts = enricher.counts
        assert (counts.events, counts.without_device, counts.unknown, counts.refused) == (11, 1, 6, 3)


def test_a_change_is_heard_of(cache: Cache, enricher: Enricher) -> None:
    """Of a known device, and of one that was unknown until it registered."""
    register(cache, 1, city="Bengaluru")
    assert [city(enricher), city(enricher), city(enricher, "new")] == ["Bengaluru", "Bengaluru", "unknown"]
    assert enricher.near.get("d1") is not None
    assert enricher.near.get("new") is not None
    register(cache, 2, city="Mysuru")
    register(cache, 1, "new", city="Hubballi")
    until(lambda: city(enricher) == "Mysuru" and city(enricher, "new") == "Hubballi")
    cache.forget(["d1"])
    until(lambda: city(enricher) == "unknown")


def test_what_is_remembered_is_not_read_again(cache: Cache, client: Any, enricher: Enricher) -> None:
    register(cache, 1, city="Bengaluru")
    assert city(enricher) == "Bengaluru"
    asked = client.info("commandstats")["cmdstat_hmget"]["calls"]
    enricher.enrich_batch([event()] * 1000)
    enricher.enrich_batch([event("nobody")] * 1000)
    enricher.enrich_batch([event("nobody")] * 1000)
    assert client.info("commandstats")["cmdstat_hmget"]["calls"] == asked + 1
    assert (enricher.counts.hits, enricher.counts.misses) == (2000, 1001)


def _tracking(client: Any) -> list[Any]:
    return [found for found in client.client_list() if "t" in found["flags"]]


def test_a_lost_connection_forgets_before_anything_is_served(cache: Cache, client: Any, enricher: Enricher) -> None:
    """CLIENT KILL of the one that tells of changes; then a change that nobody told of."""
    register(cache, 1, city="Bengaluru")
    assert city(enricher) == "Bengaluru"
    for round_ in range(2, 12):
        (connection,) = _tracking(client)
        client.client_kill_filter(_id=connection["id"])
        until(lambda lost=round_ - 1: enricher.tracking.lost >= lost)  # type: ignore[misc]
        register(cache, round_, city=f"city {round_}")
        assert city(enricher) == f"city {round_}"
        until(enricher.tracking.opened.is_set)


def test_flushall_forgets_everything(cache: Cache, client: Any, enricher: Enricher) -> None:
    register(cache, 1, city="Bengaluru")
    assert city(enricher) == "Bengaluru"
    client.flushall()
    until(lambda: city(enricher) == "unknown")


def test_a_full_output_buffer_is_a_lost_connection(cache: Cache, client: Any, enricher: Enricher) -> None:
    """The server closes it by itself."""
    register(cache, 1, city="Bengaluru")
    assert city(enricher) == "Bengaluru"
    client.config_set("client-output-buffer-limit", "normal 100000 0 0")
    try:
        # One script's changes are told of in one message, which is larger.
        client.eval("for number = 1, 20000 do redis.call('SET', 'some-other-key-' .. number, '') end return 1", 0)
        until(lambda: enricher.tracking.lost == 1)
    finally:
        client.config_set("client-output-buffer-limit", "normal 0 0 0")
    register(cache, 2, city="Mysuru")
    assert city(enricher) == "Mysuru"


def test_messages_that_are_kept_back_are_found_out(client: Any, enricher: Enricher) -> None:
    """A server or a proxy that answers and does not tell of changes: the heartbeat's is missing."""
    enricher.start()
    until(enricher.tracking.opened.is_set)
    (ear,) = enricher.tracking._ears
    ear._connection._parser.set_invalidation_push_handler(lambda push: [b"lost", None])
    until(lambda: enricher.tracking.lost == 1)
    until(enricher.tracking.opened.is_set)
    assert len(_tracking(client)) == 1


def test_a_frozen_server(server: Redis, cache: Cache, url: str) -> None:
    """What is remembered is used as long as it is proven; then the call says so in time, or marks events, and goes on after it."""
    register(cache, 1, city="Bengaluru")
    with Enricher(url, timeout_seconds=0.3) as strict, Enricher(url, timeout_seconds=0.3, mark_unavailable=True) as marking:
        assert city(strict) == city(marking) == "Bengaluru"
        server.pause()
        try:
            until(lambda: not strict.near.is_open and not marking.near.is_open)
            with pytest.raises(Unavailable, match="can't read the cache"):
                strict.enrich([event()])
            (marked,) = marking.enrich_batch([event()])
            assert json.loads(marked)["flags"] == {"device_denorm": False}
            assert json.loads(marked)["devicedata_reason"] == "cache_unavailable"
        finally:
            server.resume()
        until(lambda: strict.tracking.opened.is_set() and marking.tracking.opened.is_set())
        assert city(strict) == city(marking) == "Bengaluru"


def test_a_server_that_starts_again(server: Redis, cache: Cache, enricher: Enricher) -> None:
    register(cache, 1, city="Bengaluru")
    assert city(enricher) == "Bengaluru"
    server.stop()
    server.start()
    assert city(enricher) == "unknown"  # it had nothing on its disk
    register(cache, 1, city="Mysuru")
    until(lambda: city(enricher) == "Mysuru")


def test_a_user_that_may_only_read(cache: Cache, client: Any, server: Redis) -> None:
    """docs/enrichment.md: what Redis must allow."""
    client.execute_command(
        "ACL", "SETUSER", "telemetry", "reset", "on", ">secret", "~*", "+select", "+ping", "+hmget", "+role", "+client|tracking"
    )
    register(cache, 1, city="Bengaluru")
    with Enricher(f"redis://telemetry:secret@127.0.0.1:{server.port}/{DATABASE}") as enricher:
        assert city(enricher) == "Bengaluru"
        until(enricher.tracking.opened.is_set)
        assert city(enricher) == "Bengaluru"
        assert enricher.near.get("d1") is not None
        register(cache, 2, city="Mysuru")
        until(lambda: city(enricher) == "Mysuru")


def test_asyncio(cache: Cache, url: str) -> None:
    """The loop goes on while Redis is asked, and tasks that miss one device read it once."""
    register(cache, 1, city="Bengaluru")

    async def run() -> None:
        async with AsyncEnricher(url) as enricher:
            batches = await asyncio.gather(*(enricher.enrich_batch([event()]) for _ in range(20)))
            assert {json.loads(done)["devicedata"]["city"] for (done,) in batches} == {"Bengaluru"}
            assert (await enricher.lookup(["nobody"])) == {"nobody": None}
            device = (await enricher.lookup(["d1"]))["d1"]
            assert device is not None
            assert device.devicedata["city"] == "Bengaluru"

    asyncio.run(run())


def test_the_age_that_is_told_holds(cache: Cache, enricher: Enricher) -> None:
    """Several threads, while devices change: what each one gets was the newest so long ago, and never gets older."""
    ids = [f"device-{number}" for number in range(5)]
    written: dict[str, list[tuple[float, int]]] = {device_id: [(0.0, 0)] for device_id in ids}
    stop = threading.Event()
    failures: list[Any] = []

    def watch() -> None:
        seen = dict.fromkeys(ids, 0)
        while not stop.wait(0.001):
            asked_at = time.monotonic()  # on a busy machine the answer may come to hand long after its age was told
            devices = enricher.lookup(ids)
            for device_id, device in devices.items():
                version, age_ms = (device.version, device.age_ms) if device else (0, 0)
                true_at = asked_at - age_ms / 1000 - 0.002 if device else 0  # a time is told in whole ms
                newest = max(version for at, version in written[device_id] if at <= true_at)
                if version < newest or version < seen[device_id]:
                    failures.append((device_id, version, newest, seen[device_id]))
                seen[device_id] = version

    watchers = [threading.Thread(target=watch) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    for version in range(1, 40):
        for device_id in ids:
            register(cache, version, device_id, city=f"city {version}")
            written[device_id].append((time.monotonic(), 1_600_000_000_000_000 + version))
    stop.set()
    for watcher in watchers:
        watcher.join()
    assert failures == []
    until(lambda: all(device and device.devicedata["city"] == "city 39" for device in enricher.lookup(ids).values()))


def _registers(cache: Cache, version: int, device_id: str, city: str) -> bool:
    """As a job does it, which tries again."""
    try:
        register(cache, version, device_id, city=city)
    except Unavailable:
        return False
    return True


def _move_slot(cluster: RedisCluster, device_id: str) -> None:
    """The device's slot goes to another node, with its keys, as `redis-cli --cluster reshard` does it."""
    nodes = [redis.Redis(port=server.port) for server in cluster.servers]
    clients: dict[str, Any] = {str(client.cluster("MYID").decode()): client for client in nodes}
    (slot,) = {client.cluster("KEYSLOT", device_id) for client in clients.values()}
    owner = next(name for name, client in clients.items() if client.cluster("COUNTKEYSINSLOT", slot))
    target = next(name for name in clients if name != owner)
    port = clients[target].connection_pool.connection_kwargs["port"]
    clients[target].cluster("SETSLOT", slot, "IMPORTING", owner)
    clients[owner].cluster("SETSLOT", slot, "MIGRATING", target)
    for key in clients[owner].cluster("GETKEYSINSLOT", slot, 100):
        clients[owner].migrate("127.0.0.1", port, key, 0, 5000)
    for name in (target, owner, *clients):
        clients[name].cluster("SETSLOT", slot, "NODE", target)


def test_a_cluster() -> None:
    """Devices of all its nodes, changes of all of them, and a slot that moves."""
    cluster = servers.redis_cluster()
    url = f"redis+cluster://127.0.0.1:{cluster.servers[0].port}"
    cache = open_cache(url)
    ids = [f"device-{number}" for number in range(50)]
    with Enricher(url) as enricher:
        for device_id in ids:
            register(cache, 1, device_id, city="Bengaluru")
        assert {city(enricher, device_id) for device_id in ids} == {"Bengaluru"}
        until(enricher.tracking.opened.is_set)
        assert {city(enricher, device_id) for device_id in ids} == {"Bengaluru"}
        assert all(enricher.near.get(device_id) for device_id in ids)
        assert len(enricher.tracking.servers) == 3
        for device_id in ids:
            register(cache, 2, device_id, city="Mysuru")
        until(lambda: {city(enricher, device_id) for device_id in ids} == {"Mysuru"})
        _move_slot(cluster, ids[0])
        until(lambda: _registers(cache, 3, ids[0], city="Hubballi"))
        until(lambda: city(enricher, ids[0]) == "Hubballi" and enricher.near.is_open)
        assert city(enricher, ids[0]) == "Hubballi"
        register(cache, 4, ids[0], city="Belagavi")
        until(lambda: city(enricher, ids[0]) == "Belagavi")
        cache.forget(ids)
    cache.close()


def test_a_failover_that_sentinel_makes(tmp_path: Path) -> None:
    """The old primary goes on answering, and is not believed any more."""
    system = RedisSentinel(tmp_path)
    system.start()
    url = f"redis+sentinel://127.0.0.1:{system.port}/{system.service}/{DATABASE}"
    cache = open_cache(url)
    try:
        with Enricher(url) as enricher:
            register(cache, 1, city="Bengaluru")
            until(lambda: city(enricher) == "Bengaluru" and enricher.near.is_open)
            sentinel: Any = redis.Redis(port=system.port)
            replica: Any = redis.Redis(port=system.replica.port, db=DATABASE)
            until(lambda: replica.exists("d1") and len(sentinel.sentinel_slaves(system.service)) == 1)
            sentinel.execute_command("SENTINEL", "FAILOVER", system.service)
            until(lambda: replica.role()[0] == b"master")
            replica.hset("d1", "city", "Mysuru")
            until(lambda: city(enricher) == "Mysuru" and enricher.near.is_open)
            replica.hset("d1", "city", "Hubballi")
            until(lambda: city(enricher) == "Hubballi")
            assert enricher.tracking.servers == {f"127.0.0.1:{system.replica.port}"}
    finally:
        cache.close()
        system.stop()
