"""What readers see in each store, as an audit compares it; and how one entry takes the place of another."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import Cache
from devicesync.cache.redis import RedisCache
from devicesync.cache.redis_connect import OneServer
from devicesync.cache.redis_hash import seen_in
from devicesync.database.port import Database
from devicesync.jobs.audit.difference import Sides, kind_of
from devicesync.jobs.audit.repair import repair
from devicesync.jobs.batch import join_events
from devicesync.law.event import MAX_ID_BYTES, Event
from devicesync.law.maps import map_text
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import NOTHING, State, join_all, state_of
from devicesync.stores import Stores
from tests.contract.stores import DATABASES
from tests.law.strategies import BASE_US, events, values_of

EXAMPLES = 25
shared_fixture = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_names = (f"seen-{number}" for number in range(10**9))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    opened = DATABASES["sqlite"](tmp_path)
    yield opened
    opened.close()


def unmarked(seen: Seen | None) -> Seen | None:
    return seen and seen._replace(mark="")


def written(drawn: list[Event], stores: Stores) -> Sides:
    """What both stores show of a device after these events."""
    name = next(_names)
    for event in drawn:
        stores.write(
            join_events([Event(name, event.version, event.erase, event.api_last_updated_on, event.first_access, event.values)])
        )
    return Sides(stores.cache.seen([name]).get(name), stores.database.seen([name]).get(name))


@shared_fixture
@given(drawn=st.lists(events(), min_size=1, max_size=8))
def test_a_cache_shows_what_the_law_says(cache: Cache, embedded: Database, drawn: list[Event]) -> None:
    """After any history. That a device was erased before, its live profile need not tell."""
    expected = seen_of(join_all(map(state_of, drawn)))
    sides = written(drawn, Stores(cache, embedded))
    assert kind_of(sides) is None
    assert sides.cache is None or unmarked(sides.cache) in (expected, expected._replace(erased=0))


@shared_fixture
@given(drawn=st.lists(events(), min_size=1, max_size=8))
def test_a_database_shows_what_the_law_says(database: Database, drawn: list[Event]) -> None:
    """After any history."""
    sides = written(drawn, Stores(MemoryCache(), database))
    assert kind_of(sides) is None
    assert unmarked(sides.database) == seen_of(join_all(map(state_of, drawn)))


def test_a_scan_shows_every_device_once(database: Database) -> None:
    """The erased ones too, of whose rows nothing is left, and those that live again; each in the range that it is said to be in."""
    names = [next(_names) for _ in range(1200)]
    states = {name: state_of(Event(name, BASE_US + at, values=values_of("IN"))) for at, name in enumerate(names)}
    states |= dict.fromkeys(names[:600:2], State(erased=BASE_US + 3))
    states[names[1]] = join_all([states[names[1]], State(erased=BASE_US)])
    database.merge(states)
    found: dict[str, Seen] = {}
    for number in range(database.ranges):
        for page in database.seen_in(number):
            assert not found.keys() & page.keys()
            assert {database.range_of(name) for name in page} <= {number}
            found |= page
    assert {name: found[name] for name in names} == {name: seen_of(state) for name, state in states.items()}


def test_a_scan_of_the_cache_meets_every_device(cache: Cache) -> None:
    """And no key that is no device's."""
    states = {next(_names): state_of(Event("d", BASE_US)) for _ in range(1500)}
    cache.merge(states, cache.look([*states]).tickets)
    cache.look([next(_names)])
    found = [name for page in cache.scan() for name in page]
    assert {*found} >= states.keys()
    assert all(name.isprintable() for name in found)


def test_an_entry_is_replaced_only_if_nothing_was_joined_into_it(cache: Cache) -> None:
    """A tombstone and a profile, each by the other; a change that came meanwhile stays."""
    live, gone, changed = (next(_names) for _ in range(3))
    registration = state_of(Event("d", BASE_US, values=values_of("IN", city="Pune")))
    other = state_of(Event("d", BASE_US, values=values_of("IN", uaspec=map_text({"a": "b"}))))
    tombstone = State(erased=BASE_US + 7)
    before = {live: registration, gone: tombstone, changed: registration}
    cache.merge(before, cache.look([*before]).tickets)
    marks, looked = {name: seen.mark for name, seen in cache.seen([*before]).items()}, cache.look([*before])
    later = state_of(Event("d", BASE_US + 1, values=values_of(fcm_token="t")))
    cache.merge({changed: later})
    assert {*cache.replace({live: other, gone: other, changed: other}, marks)} == {live, gone}
    assert {*cache.merge(dict.fromkeys(before, later), looked.tickets).missing} == {live, gone}  # it knows another entry
    assert cache.read([*before]) == {live: other, gone: other, changed: join_all([registration, later])}
    assert cache.replace({live: tombstone}, {live: cache.seen([live])[live].mark}) == [live]
    assert unmarked(cache.seen([live])[live]) == Seen(BASE_US + 7, None, BASE_US + 7)
    again = cache.look([live])
    assert cache.merge({live: later}, again.tickets).missing == []


OPEN_TO_OTHERS = pytest.mark.parametrize("cache", ["redis", "redis-cluster"], indirect=True)
"""Caches into which other programs can write."""


def client_of(cache: Cache) -> Any:
    """What another program has."""
    assert isinstance(cache, RedisCache)
    connections: Any = cache._connections
    return connections.client if isinstance(connections, OneServer) else connections._cluster


@OPEN_TO_OTHERS
def test_a_scan_leaves_out_names_that_no_device_can_have(cache: Cache) -> None:
    """One of over 65,535 bytes stopped `audit` for good: Cassandra refuses it. 25 of 60 MB took it to 1.66 GiB."""
    client = client_of(cache)
    ours, longest = next(_names), "é" * (MAX_ID_BYTES // 2)
    cache.merge({ours: state_of(Event("d", BASE_US))}, cache.look([ours]).tickets)
    others = [b"l" * (MAX_ID_BYTES + 1), b"l" * 70_000, b"\xff" + ours.encode(), b"a\nb", b"\x7f", b"\xc2\x9f", b""]
    others += [b"%d" % number + b"l" * 20_000_000 for number in range(3)]
    for name in (longest, *others):
        client.set(name, "text")
    tracemalloc.start()
    try:
        found = {name for page in cache.scan() for name in page}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        for name in (longest, *others):
            client.delete(name)
    assert found >= {ours, longest}
    assert found.isdisjoint(name.decode(errors="replace") for name in others)
    assert peak < 10_000_000


def test_a_scan_goes_on_where_the_server_has_forgotten_the_script(cache: Cache) -> None:
    """As after a restart between two of its steps."""
    states = {next(_names): state_of(Event("d", BASE_US)) for _ in range(1500)}
    cache.merge(states, cache.look([*states]).tickets)
    found = []
    for page in cache.scan():
        found += page
        if isinstance(cache, RedisCache):
            for client in cache._connections.clients():
                client.script_flush()
    assert {*found} >= states.keys()


FOREIGN: dict[str, Any] = {
    "another city": lambda client, name: client.hset(name, mapping={"city": "Nowhere"}),
    "a blank": lambda client, name: client.hset(name, mapping={"state_custom": ""}),
    "an older version": lambda client, name: client.hset(name, mapping={"version": str(BASE_US - 9)}),
    "a newer version": lambda client, name: client.hset(name, mapping={"version": str(BASE_US + 9), "city": "Mars"}),
    "no version": lambda client, name: client.hset(name, mapping={"version": "x"}),
    "no JSON": lambda client, name: client.hset(name, mapping={"uaspec": "{'os': 1}"}),
    "no UTF-8": lambda client, name: client.hset(name, mapping={"city": b"\xff\xfe"}),
    "no number": lambda client, name: client.hset(name, mapping={"firstaccess": "yesterday"}),
    "a broken state": lambda client, name: client.hset(name, mapping={"_state": "1,2"}),
    "only blanks": lambda client, name: [client.delete(name), client.hset(name, mapping={"state": "", "district": ""})],
    "a field less": lambda client, name: client.hdel(name, "country_code"),
    "nothing": lambda client, name: client.delete(name),
    "no hash": lambda client, name: [client.delete(name), client.set(name, "text")],
}
KINDS = {
    "an older version": "stale_in_cache",
    "no version": "stale_in_cache",
    "a newer version": "stale_in_database",
    "no JSON": "missing_in_cache",
    "no UTF-8": "missing_in_cache",
    "a broken state": "missing_in_cache",
    "only blanks": "missing_in_cache",
    "nothing": "missing_in_cache",
    "no hash": "missing_in_cache",
}


@OPEN_TO_OTHERS
@pytest.mark.parametrize("how", FOREIGN)
def test_what_another_program_wrote_into_a_hash_is_seen_and_replaced(cache: Cache, embedded: Database, how: str) -> None:
    """By what the database knows."""
    client = client_of(cache)
    stores = Stores(cache, embedded)
    name = next(_names)
    registration = Event(name, BASE_US, values=values_of("IN", uaspec=map_text({"os": "9"}), city="Pune"), first_access=5)
    stores.write(join_events([registration]))
    good = cache.seen([name])[name]
    FOREIGN[how](client, name)
    assert kind_of(Sides(cache.seen([name]).get(name), stores.database.seen([name])[name])) == KINDS.get(how, "content_differs")
    repair([name], stores)
    assert unmarked(cache.seen([name])[name]) == unmarked(good)
    assert cache.read([name]) == stores.database.read([name]) == {name: state_of(registration)}


@OPEN_TO_OTHERS
@pytest.mark.parametrize("text", [r'{"\q":"x"}', r'{"os":"C:\Users"}', r'{"os":"\ud800"}', r'{"a\":"b"}'])
def test_a_foreign_map_with_escapes_of_its_own_stops_nobody(cache: Cache, embedded: Database, text: str) -> None:
    """Its registration comes once more, as after a restart of the updater: what the database knows takes its place."""
    stores, name = Stores(cache, embedded), next(_names)
    registration = Event(name, BASE_US, values=values_of("IN", uaspec=map_text({"os": "9"})))
    stores.write(join_events([registration]))
    client_of(cache).hset(name, mapping={"uaspec": text})
    stores.write(join_events([registration]))
    assert cache.read([name]) == {name: state_of(registration)}


@OPEN_TO_OTHERS
def test_a_foreign_expiry_is_seen_and_taken_off(cache: Cache, embedded: Database) -> None:
    """And an entry of a device that nobody knows is dropped."""
    client = client_of(cache)
    stores = Stores(cache, embedded)
    name, unknown = next(_names), next(_names)
    stores.write(join_events([Event(name, BASE_US, values=values_of("IN"))]))
    assert cache.expiring([name]) == []
    assert cache.time_left_ms(name) is cache.time_left_ms(unknown) is None
    client.pexpire(name, 10_000_000)
    assert 9_000_000 < (cache.time_left_ms(name) or 0) <= 10_000_000
    client.hset(unknown, mapping={"city": "Pune", "api_last_updated_on": "5"})
    assert cache.expiring([name, unknown]) == [name]
    assert kind_of(Sides(cache.seen([unknown])[unknown], None)) == "missing_in_database"
    repair([name, unknown], stores)
    assert cache.expiring([name]) == []
    assert cache.seen([unknown]) == {}
    assert cache.read([name])[name] != NOTHING


def test_a_version_of_too_many_digits_can_t_be_told() -> None:
    """Another program wrote the hash. Of so many digits Python makes no number at all."""
    seen = seen_in({"api_last_updated_on": "1", "version": "9" * 5000})
    assert seen
    assert seen.version == 0
