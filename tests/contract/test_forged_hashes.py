"""Hashes that another program wrote into Redis in our form: numbers and texts that the law can't hold, and versions of the future."""

import tracemalloc
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from devicesync.cache.port import Looked
from devicesync.cache.redis import RedisCache
from devicesync.clock import SYSTEM
from devicesync.jobs.audit.difference import MISSING_IN_CACHE, Difference, kind_of, look
from devicesync.jobs.audit.repair import repair
from devicesync.law.event import MAX_BYTES, Event
from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS
from devicesync.law.maps import LONGEST_UNITED, MOST_ENTRIES, map_text
from devicesync.law.state import NOTHING, State, join, join_all, state_of
from devicesync.law.version import LATEST_US
from devicesync.stores import Stores
from tests.contract.stores import CACHES, DATABASES, redis_at, redis_url
from tests.law.strategies import BASE_US, values_of

HOUR_US = 3600 * 10**6
ERASED, LIVE, LOCATION, UPDATED = 0, 1, 2, 2 + len(FACETS)
UNSETTLED, TICKET = UPDATED + 3, UPDATED + 4
NINES = "9" * 16
MANY = 20_000_000
"""Characters. Cassandra refuses a request with so many."""

NUMBERS: dict[str, dict[int, str]] = {
    "16 nines": {LIVE: NINES},
    "16 nines of a facet": {LOCATION: NINES},
    "16 nines of an erase": {ERASED: NINES},
    "16 nines of a time": {UPDATED: NINES},
    "just past the last version": {LIVE: str(LATEST_US + 1)},
    "a facet that is newer than the device": {LOCATION: str(BASE_US + 1)},
    "erased later than live": {ERASED: str(BASE_US + 1)},
}
TEXTS: dict[str, str | bytes] = {
    "too large": "c" * MANY,
    "no UTF-8": b"P\xff\xfe",
    "much that is no UTF-8": b"\xff" * 340_000,
    "half of a pair": b"\xed\xa0\x80",
}
KNOWN = state_of(Event("d", BASE_US, values=values_of(city="Pune", fcm_token="t")))
LATER = state_of(Event("d", BASE_US + 5, values=values_of(fcm_token="u")))

Use = Callable[[Stores, str], None]
USES: dict[str, Use] = {
    "write": lambda stores, name: None,
    "refill": lambda stores, name: stores.refill([name]),
    "restore": lambda stores, name: stores.restore({name: KNOWN}),
    "repair": lambda stores, name: repair([name], stores),
}


@pytest.fixture(params=["sqlite", "acsylla"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(CACHES["redis"](tmp_path), DATABASES[request.param](tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def forge(stores: Stores, name: str, numbers: dict[int, str], **fields: str | bytes) -> None:
    """Another program writes these places of the hash's `_state`, and these fields."""
    assert isinstance(stores.cache, RedisCache)
    client = stores.cache._connections.client  # type: ignore[attr-defined]
    held = client.hget(name, "_state").split(",")
    client.hset(name, mapping={"_state": ",".join(numbers.get(spot, number) for spot, number in enumerate(held))} | fields)


def agree_on(stores: Stores, name: str, states: Sequence[State]) -> None:
    """Both stores hold just what the law makes of these, for their readers too."""
    expected = join_all(states)
    assert stores.read(name) == expected
    assert stores.database.read([name]) == {name: expected}
    assert [kind_of(sides) for sides in look([name], stores).values()] == [None]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_that_no_state_has_count_as_damage(stores: Stores, name: str, use: str, numbers: str) -> None:
    """16 nines stopped `update` for good: OverflowError, where the database was told of them."""
    stores.write({name: KNOWN})
    forge(stores, name, NUMBERS[numbers], city="forged")
    USES[use](stores, name)
    stores.write({name: LATER})
    agree_on(stores, name, [KNOWN, LATER])


@pytest.mark.parametrize("number", [" 5", "+5", "1_0", "\u0663", "5\n", "-0"])
def test_what_only_python_takes_for_a_number_counts_as_damage(stores: Stores, name: str, number: str) -> None:
    """The scripts in Redis take it for none: reads believed what `update` replaced."""
    stores.write({name: KNOWN})
    forge(stores, name, {ERASED: number}, city="forged")
    assert [kind_of(sides) for sides in look([name], stores).values()] == [MISSING_IN_CACHE]
    assert stores.cache.read([name]) == {}
    agree_on(stores, name, [KNOWN])


@pytest.mark.parametrize("is_unsettled", ["0", "1"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("place", [ERASED, LIVE])
def test_a_version_of_the_future_that_only_the_cache_has_is_dropped(
    stores: Stores, name: str, place: int, use: str, is_unsettled: str
) -> None:
    """Else it would win over every event, and a repair or a settling would bring it into the database."""
    stores.write({name: KNOWN})
    numbers = {place: str(SYSTEM.now_us() + HOUR_US), UNSETTLED: is_unsettled}
    forge(stores, name, numbers | {spot: "0" for spot in range(LIVE, UPDATED) if place == ERASED}, city="forged")
    USES[use](stores, name)
    stores.write({name: LATER})
    agree_on(stores, name, [KNOWN, LATER])


@pytest.mark.parametrize("use", USES)
def test_a_version_of_the_future_that_the_database_has_stays(stores: Stores, name: str, use: str) -> None:
    """Whoever wrote it there: the database is believed, and so is a clock that is ahead of ours."""
    ahead = state_of(Event("d", SYSTEM.now_us() + HOUR_US, values=values_of(city="ahead")))
    stores.write({name: ahead})
    ticket = stores.cache.look([name]).tickets[name]
    USES[use](stores, name)
    stores.write({name: LATER})
    agree_on(stores, name, [ahead, LATER] + [KNOWN] * (use == "restore"))
    if use != "repair":
        assert stores.cache.look([name]).tickets[name] == ticket


def test_of_many_devices_only_the_forged_one_is_dropped(stores: Stores, name: str) -> None:
    names = [name, *(f"{name}{number}" for number in range(200))]
    stores.write(dict.fromkeys(names, KNOWN))
    before = stores.cache.look(names)
    forge(stores, name, {LIVE: str(SYSTEM.now_us() + HOUR_US)})
    after = stores.look(names)
    assert after.held.keys() == before.held.keys() - {name}
    assert {other for other in names if after.tickets[other] != before.tickets[other]} == {name}
    stores.write(dict.fromkeys(names, LATER))
    assert stores.cache.read(names) == stores.database.read(names) == dict.fromkeys(names, join_all([KNOWN, LATER]))


def test_who_forges_a_hash_again_and_again_stops_nobody(stores: Stores, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at it called itself once more, 1,000 times deep. The device is named, and the database has its event."""
    stores.write({name: KNOWN})
    look_once = RedisCache._look

    def after_a_forgery(cache: RedisCache, device_ids: Sequence[str]) -> tuple[Looked, list[str]]:
        cache._connections.client.hset(name, "_state", ",".join([NINES] * UPDATED + ["1", "1", "1", "0", "f"]))  # type: ignore[attr-defined]
        return look_once(cache, device_ids)

    monkeypatch.setattr(RedisCache, "_look", after_a_forgery)
    with capture_logs() as lines:
        stores.write({name: LATER, name + "2": LATER})
    assert [line["devices"] for line in lines] == [[name]]
    monkeypatch.undo()
    stores.refill([name])
    agree_on(stores, name, [KNOWN, LATER])
    agree_on(stores, name + "2", [LATER])


@pytest.mark.parametrize("is_unsettled", ["0", "1"])
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_no_event_can_have_counts_as_damage(
    stores: Stores, name: str, text: str, use: str, is_unsettled: str
) -> None:
    """A large one stopped `update` and `audit --repair` for good. What is no UTF-8 went into the database as U+FFFD."""
    stores.write({name: KNOWN})
    forge(stores, name, {UNSETTLED: is_unsettled}, city=TEXTS[text])
    with capture_logs() as lines:
        USES[use](stores, name)
        stores.write({name: LATER})
    assert lines == []
    agree_on(stores, name, [KNOWN, LATER])


@pytest.mark.parametrize("is_unsettled", ["0", "1"])
@pytest.mark.parametrize("field", ["city", "uaspec"])
def test_what_ties_with_bytes_that_are_no_text_does_not_carry_them_on(
    stores: Stores, name: str, field: str, is_unsettled: str
) -> None:
    """A tie keeps the greater value, and no text is greater than these bytes."""
    agra = state_of(Event("d", BASE_US, values=values_of(city="Agra", uaspec=map_text({"a": "b"}))))
    stores.write({name: KNOWN})
    forge(stores, name, {UNSETTLED: is_unsettled}, **{field: b'{"\xff":"\xff"}'})
    with capture_logs() as lines:
        stores.write({name: agra})
        stores.write({name: LATER})
    assert lines == []
    agree_on(stores, name, [KNOWN, agra, LATER])


@pytest.mark.parametrize("erased", [0, BASE_US - 1])
@pytest.mark.parametrize("text", TEXTS)
def test_an_audit_tells_of_a_text_that_no_event_can_have(stores: Stores, name: str, text: str, erased: int) -> None:
    """It called a live device resurrected that had once been erased."""
    stores.write({name: join(KNOWN, State(erased=erased))})
    forge(stores, name, {}, city=TEXTS[text])
    (sides,) = look([name], stores).values()
    assert kind_of(sides) == MISSING_IN_CACHE
    assert msgspec.json.encode(Difference(name, MISSING_IN_CACHE, *sides).document())


def test_the_sign_for_what_is_no_text_is_a_text(stores: Stores, name: str) -> None:
    """An event may hold U+FFFD, and a hash that holds it is ours."""
    sign = state_of(Event("d", BASE_US, values=values_of(city="\ufffd")))
    stores.write({name: sign})
    ticket = stores.cache.look([name]).tickets[name]
    agree_on(stores, name, [sign])
    assert stores.cache.look([name]).tickets[name] == ticket


@pytest.mark.parametrize("text", TEXTS)
def test_a_hash_of_another_program_stays(stores: Stores, name: str, text: str) -> None:
    """Who read a device of this name, through an API too, dropped a large one."""
    client = stores.cache._connections.client  # type: ignore[attr-defined]
    client.hset(name, mapping={"state": TEXTS[text], "version": "2"})
    assert stores.read(name) == NOTHING
    look([name], stores)
    assert client.hlen(name) == 2


@pytest.mark.parametrize("field", ["city", "foo"])
def test_long_texts_are_not_brought_here(stores: Stores, field: str) -> None:
    """30 hashes took `update` to 2.2 GiB, and 20 `api` to 880 MiB."""
    names = [uuid.uuid4().hex for _ in range(3)]
    stores.write(dict.fromkeys(names, KNOWN))
    for each in names:
        forge(stores, each, {}, **{field: "c" * MANY})
    tracemalloc.start()
    try:
        stores.cache.seen(names)
        held = stores.cache.read(names)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MANY / 10
    assert held == ({} if field == "city" else dict.fromkeys(names, KNOWN))


@pytest.mark.parametrize("use", USES)
def test_the_largest_that_events_can_make_is_kept(stores: Stores, name: str, use: str) -> None:
    """Eight texts of a facet come from as many events of one version."""
    united = map_text({f"{number:0{LONGEST_UNITED}}": "v" * LONGEST_UNITED for number in range(MOST_ENTRIES)})
    largest = tuple(united if field in MAP_FIELDS else "t" * MAX_BYTES for field in FIELDS)
    large = state_of(Event("d", BASE_US + 1, values=largest))
    stores.write({name: large})
    ticket = stores.cache.look([name]).tickets[name]
    forge(stores, name, {UNSETTLED: "1"})
    USES[use](stores, name)
    stores.write({name: LATER})
    agree_on(stores, name, [large, LATER] + [KNOWN] * (use == "restore"))
    if use != "repair":
        assert stores.cache.look([name]).tickets[name] == ticket


@pytest.mark.parametrize("is_unsettled", ["0", "1"])
def test_a_row_of_another_job_that_no_cache_keeps_is_read_and_stops_nobody(stores: Stores, name: str, is_unsettled: str) -> None:
    longer = state_of(Event("d", BASE_US + 1, values=values_of(city="c" * 4_000_000)))
    stores.write({name: longer})
    forge(stores, name, {UNSETTLED: is_unsettled})
    stores.refill([name])
    assert stores.read(name) == stores.read(name) == longer
    stores.write({name: LATER})
    assert stores.read(name) == stores.database.read([name])[name] == join(longer, LATER)


@pytest.mark.parametrize("use", USES)
def test_a_state_that_is_too_long_counts_as_damage(stores: Stores, name: str, use: str) -> None:
    """100 of 10 MB each in one call kept Redis from answering, and `update` waited for good."""
    stores.write({name: KNOWN})
    forge(stores, name, {TICKET: "f" * 2000}, city="forged")
    assert len(stores.cache.look([name]).tickets[name]) < 20
    USES[use](stores, name)
    stores.write({name: LATER})
    agree_on(stores, name, [KNOWN, LATER])


@pytest.mark.parametrize("ticket", ["f" * 2000, "none", "", "\x00"])
def test_a_ticket_of_another_program_is_none(stores: Stores, name: str, ticket: str) -> None:
    cache = redis_at(redis_url())
    cache._connections.client.hset(cache._connections.beside(name), name, ticket)  # type: ignore[attr-defined]
    cache.close()
    assert stores.cache.look([name]).tickets[name] not in {ticket, ""}
    stores.write({name: KNOWN})
    agree_on(stores, name, [KNOWN])


ANOTHER_S = {
    "string": lambda client, key: client.set(key, "x"),
    "list": lambda client, key: client.rpush(key, "x"),
    "sorted set": lambda client, key: client.zadd(key, {"x": 1}),
    "stream": lambda client, key: client.xadd(key, {"x": "1"}),
}


@pytest.mark.parametrize("kind", ANOTHER_S)
def test_a_key_of_another_program_where_the_tickets_were_stops_nobody(stores: Stores, name: str, kind: str) -> None:
    """Each write and each read of a device that is not held failed for good, and said that Redis does not run."""
    looked = stores.cache.look([name])
    with closing(redis_at(redis_url())) as cache:
        client, key = cache._connections.client, cache._connections.beside(name)  # type: ignore[attr-defined]
        client.delete(key)
        ANOTHER_S[kind](client, key)
        assert stores.cache.merge({name: KNOWN}, looked.tickets).missing == [name]
    stores.write({name: KNOWN})
    agree_on(stores, name, [KNOWN])


DECLARED = state_of(Event("d", BASE_US, values=values_of(city="Pune", device_spec=map_text({"os": "1"}))))
NO_MAPS = {
    "too large": "{" + ",".join(f'"{number:06}":"v"' for number in range(200_000)) + "}",
    "a value too long": '{"a":"' + "v" * 300_000 + '"}',
    "too many entries": map_text({f"{number:06}": "v" for number in range(MOST_ENTRIES + 1)}) or "",
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("forged", NO_MAPS)
def test_a_map_that_no_events_can_make_takes_none_out_of_the_database(stores: Stores, name: str, forged: str, use: str) -> None:
    """It tied with the same event, told again, or was read as ours. The two have no union, so nothing was left, and that went there."""
    stores.write({name: DECLARED})
    forge(stores, name, {}, devicespec=NO_MAPS[forged])
    USES[use](stores, name)
    stores.write({name: DECLARED})
    agree_on(stores, name, [DECLARED, KNOWN] if use == "restore" else [DECLARED])
