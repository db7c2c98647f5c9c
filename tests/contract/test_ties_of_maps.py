"""Ties of maps: their union, however large they are and however many come, in every store alike."""

from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicesync.cache.port import Cache, Merged
from devicesync.cache.redis import RedisCache
from devicesync.database.port import Database
from devicesync.law.event import Event
from devicesync.law.maps import LONGEST_UNITED, MOST_ENTRIES, map_text
from devicesync.law.profile import view
from devicesync.law.state import State, join, join_all, state_of
from devicesync.stores import Stores
from tests.contract.stores import forget, redis_at, redis_url
from tests.law.strategies import BASE_US, FEW_ENTRIES, few_entries, values_of

shared_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
_names = (f"tie-{number}" for number in range(10**9))


def tied(entries: dict[str, str], **fields: str) -> State:
    return state_of(Event("d", BASE_US, values=values_of(device_spec=map_text(entries), **fields)))


def profile(state: State) -> Any:
    return view("d", state)["profile"]


def test_a_tie_of_large_maps(cache: Cache) -> None:
    """As many entries as may be, keys with escapes among them: their union, in bounded calls.

    The database unites maps by itself. So nobody has to write the union once more.
    """
    names = [next(_names) for _ in range(12)]
    one, other = (
        state_of(Event("d", BASE_US, values=values_of(device_spec=map_text(entries))))
        for entries in (
            {f"key-{number:05}{text if number % 2 else ''}": text for number in range((MOST_ENTRIES - 2) * 2 // 3)}
            | {'q"': text, "é\\": text}
            for text in ("a", "b")
        )
    )
    cache.merge(dict.fromkeys(names, one), cache.look(names).tickets)
    assert cache.merge(dict.fromkeys(names, other)) == Merged([], [])
    assert cache.read(names) == dict.fromkeys(names, join(one, other))


def test_a_large_union_is_made_in_a_call_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis serves nobody between the calls of a pipeline. 20 small ties with large unions in one held it for 12 to 24 s."""
    names = [next(_names) for _ in range(250)]
    sent: list[Any] = []
    call = RedisCache._call

    def spy(cache: RedisCache, client: Any, script: str, calls: Any) -> Any:
        sent.append([of_one[0] - 1 for of_one in calls])
        return call(cache, client, script, calls)

    large, small = tied({f"{number:0128x}": '"' * 100 for number in range(MOST_ENTRIES - 1)}), tied({"~": "v"})
    with closing(redis_at(redis_url())) as cache:
        cache.merge(dict.fromkeys(names, large), cache.look(names).tickets)
        monkeypatch.setattr(RedisCache, "_call", spy)
        assert cache.merge(dict.fromkeys(names, small)) == Merged([], [])
        assert sent[0] == [100, 100, 50]
        assert len(sent) > 240
        assert all(devices == [1] for devices in sent[1:])
        sent.clear()
        cache.merge(dict.fromkeys(names, tied({"~": "w"})))
        assert sent[0] == [100, 100, 50]
        assert cache.read(names) == dict.fromkeys(names, join_all([large, tied({"~": "w"})]))


_texts = st.text('ab"\\,:{}/é\n\x01\x7f', max_size=4)


@shared_fixture
@given(maps=st.lists(st.dictionaries(_texts, _texts.filter(bool), min_size=1, max_size=12), min_size=2, max_size=5))
def test_a_tie_of_maps_is_their_union(cache: Cache, maps: list[dict[str, str]]) -> None:
    """In any order of their keys: between, before and after each other, equal, and with all that JSON escapes or divides by."""
    name = next(_names)
    changes = [state_of(Event(name, BASE_US, values=values_of(device_spec=map_text(entries)))) for entries in maps]
    ticket = cache.look([name]).tickets
    for change in changes:
        assert cache.merge({name: change}, ticket) == Merged([], [])
    assert cache.read([name]) == {name: join_all(changes)}


@shared_fixture
@given(maps=st.lists(st.dictionaries(_texts, _texts.filter(bool), min_size=1, max_size=FEW_ENTRIES), min_size=2, max_size=5))
def test_a_union_of_too_many_entries_is_no_value(cache: Cache, maps: list[dict[str, str]]) -> None:
    """The database can't know by itself. So it must be told, and of what comes later too."""
    name = next(_names)
    with few_entries():
        ticket = cache.look([name]).tickets
        held = tied(maps[0])
        cache.merge({name: held}, ticket)
        for entries in maps[1:]:
            change = tied(entries)
            before, held = held, join(held, change)
            cache.merge({name: before}, ticket, {name: True})
            assert cache.merge({name: change}, ticket) == Merged([], [] if "device_spec" in profile(held) else [name])
        assert cache.read([name]) == {name: held}


def test_many_ties_of_as_many_entries_as_an_event_can_have(cache: Cache, database: Database) -> None:
    """Every store keeps the same, whoever finds the tie: the cache, or a writer who reads the row. What is older stays away."""
    name = next(_names)
    changes = [tied({f"{number:x}-{event}": "v" for number in range(MOST_ENTRIES)}) for event in range(5)]
    older = state_of(Event("d", BASE_US - 1, values=values_of(device_spec=map_text({"older": "v"}))))
    stores = Stores(cache, database)
    for number, change in enumerate([*changes, older]):
        stores.write({name: change})
        if number in (1, 3, 4):
            forget(cache, name)
    expected = join_all([*changes, older])
    assert "device_spec" not in profile(expected)
    for held in (cache.read([name])[name], database.read([name])[name], stores.read(name, anew=True)):
        assert held == expected
    assert database.look([name]).unsettled == []
    assert database.seen([name])[name].profile == profile(expected)


_long = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["1", "long!", "longer", "é"]), min_size=1)


@shared_fixture
@given(maps=st.lists(_long, min_size=2, max_size=3))
def test_a_long_map_is_united_with_no_other(database: Database, maps: list[dict[str, str]]) -> None:
    """By writers that know nothing of each other, also where the row shows only what the last one has written."""
    name = next(_names)
    with few_entries():
        changes = [tied(entries) for entries in maps]
        for change in changes:
            database.merge({name: change})
        held = join_all(changes)
        assert database.read([name]) == {name: held}
        database.settle({name: held})
        database.merge({name: changes[0]})
        assert database.read([name]) == {name: held}
        database.settle({name: held})
        assert database.look([name]) == ({name: held}, [])
        assert database.seen([name])[name].profile == profile(held)


@pytest.mark.parametrize(("character", "count"), [("v", 256), ("é", 128), ("\n", 128), ("\x01", 42)])
def test_how_long_a_united_value_may_be(cache: Cache, database: Database, character: str, count: int) -> None:
    """In bytes of its JSON, for so large the text becomes."""
    stores = Stores(cache, database)
    for length, is_united in ((count, True), (count + 1, False)):
        name = next(_names)
        for entries in ({"a": character * length}, {"b": "v"}):
            stores.write({name: tied(entries)})
        assert ("device_spec" in profile(stores.read(name, anew=True))) == is_united
        assert cache.read([name]) == database.read([name])


def test_a_row_with_too_many_entries_is_not_shown_as_settled(database: Database) -> None:
    """Two writers that did not know of each other left it so, and one may never come back."""
    name = next(_names)
    with few_entries():
        changes = [tied({f"{letter}{number}": "v" for number in range(FEW_ENTRIES)}) for letter in "ab"]
        for change in changes:
            database.merge({name: change})
        assert database.look([name]) == ({name: join_all(changes)}, [] if database.merges_in_place else [name])
        database.settle({name: join_all(changes)})
        assert database.look([name]) == ({name: join_all(changes)}, [])


def test_the_largest_union_fits_into_a_request(database: Database) -> None:
    """Cassandra takes 16 MiB at once. An updater that had to write more of one device waited for ever. As large as a union can be."""
    name = next(_names)
    large, other = (
        tied({f"{number:0256x}": letter * LONGEST_UNITED for number in range(MOST_ENTRIES)}, **fields)
        for letter, fields in (("v", {"city": "a"}), ("w", {"state": "b"}))
    )
    database.merge({name: large})
    assert database.read([name])[name] == large
    database.settle({name: join(large, other)})
    assert database.seen([name])[name].profile == profile(join(large, other))


def test_a_tie_that_only_the_database_knows_is_not_undone(cache: Cache, database: Database) -> None:
    """An audit's repair beside two writers, of whom one dies, can leave it so: the row is settled, the entry is as before the tie."""
    name, stores = next(_names), Stores(cache, database)
    state, district = tied({"a": "b"}, user_declared_state="x"), tied({"a": "b"}, user_declared_district="q")
    before = tied({"a": "b"}, city="Pune")
    tie = join_all([before, state, district])
    for change in (before, state, district):
        database.merge({name: change})
    database.settle({name: tie})
    cache.merge({name: before}, cache.look([name]).tickets)
    stores.write({name: district})
    for held in (cache.read([name])[name], database.read([name])[name]):
        assert profile(held) == profile(tie)
