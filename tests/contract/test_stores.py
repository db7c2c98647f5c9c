"""What every cache and every database does: the law, whatever the order, the batches and the duplicates."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devicesync.cache.port import Cache
from devicesync.database.port import Database
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event
from devicesync.law.facets import MAP_FIELDS
from devicesync.law.profile import view
from devicesync.law.state import State, join, join_all, state_of
from devicesync.stores import Stores
from tests.contract.stores import DATABASES, forget
from tests.law.specification import specified
from tests.law.strategies import BASE_US, events, few_entries, values_of

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "60"))
shared_fixture = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_names = (f"device-{number}" for number in range(10**9))


@pytest.fixture(autouse=True, scope="module")
def _unions_with_too_many_entries() -> Iterator[None]:
    with few_entries():
        yield


def batches_of(drawn: list[Event], shuffle: random.Random) -> list[list[Event]]:
    """The events in random order, some twice, cut into random batches."""
    everything = drawn + [event for event in drawn if shuffle.random() < 0.3]
    shuffle.shuffle(everything)
    cuts = sorted(shuffle.randrange(len(everything) + 1) for _ in range(3))
    return [everything[start:end] for start, end in zip([0, *cuts], [*cuts, len(everything)], strict=True)]


def shown(state: State) -> dict[str, Any]:
    document = view("d", state)
    return {name: document[name] for name in ("version", "erased", "profile")}


def renamed(drawn: list[Event], device_id: str) -> list[Event]:
    return [
        Event(device_id, event.version, event.erase, event.api_last_updated_on, event.first_access, event.values)
        for event in drawn
    ]


@shared_fixture
@given(drawn=st.lists(events(), min_size=1, max_size=10), shuffle=st.randoms(use_true_random=False))
def test_both_stores_equal_the_law(cache: Cache, database: Database, drawn: list[Event], shuffle: random.Random) -> None:
    """After any order, duplication and batching, cache and database show what the set-based law says."""
    name = next(_names)
    for batch in batches_of(renamed(drawn, name), shuffle):
        Stores(cache, database).write(join_events(batch))
    expected = specified(drawn)
    assert shown(cache.read([name])[name]) == expected
    assert shown(database.read([name])[name]) == expected


@settings(shared_fixture, max_examples=300)
@given(drawn=st.lists(events(), min_size=1, max_size=10), shuffle=st.randoms(use_true_random=False))
def test_a_cache_alone_joins_as_the_law_does(cache: Cache, drawn: list[Event], shuffle: random.Random) -> None:
    """Changes merged one after the other leave exactly the state that the law's join gives, field for field."""
    name = next(_names)
    for batch in batches_of(renamed(drawn, name), shuffle):
        assert cache.merge(join_events(batch), cache.look([name]).tickets).missing == []
    expected = join_all(map(state_of, renamed(drawn, name)))
    assert cache.read([name])[name] == expected
    seen = cache.look([name]).held[name]
    assert seen[:5] == expected[:5]
    assert [version for version, _ in seen.registers] == [version for version, _ in expected.registers]


@shared_fixture
@given(drawn=st.lists(events(), min_size=1, max_size=10), shuffle=st.randoms(use_true_random=False))
def test_a_database_that_merges_in_place_joins_as_the_law_does(
    database: Database, drawn: list[Event], shuffle: random.Random
) -> None:
    """The other kind is held to it through the pair of stores, and by test_histories."""
    name = next(_names)
    if database.merges_in_place:
        for batch in batches_of(renamed(drawn, name), shuffle):
            database.merge(join_events(batch))
        assert database.read([name])[name] == join_all(map(state_of, renamed(drawn, name)))


@shared_fixture
@given(drawn=st.lists(events(), min_size=2, max_size=8), forgetful=st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_device_that_the_cache_forgot_is_filled_whole(
    cache: Cache, database: Database, drawn: list[Event], forgetful: list[bool]
) -> None:
    """Evicted, flushed or new: the entry comes from the database and the event, never from the event alone."""
    name = next(_names)
    for event, forgets in zip(renamed(drawn, name), forgetful, strict=False):
        Stores(cache, database).write(join_events([event]))
        if forgets:
            forget(cache, name)
    held = cache.read([name])
    if name in held:
        assert shown(held[name]) == specified(drawn)
    assert shown(database.read([name])[name]) == specified(drawn)


def test_a_merge_leaves_out_devices_that_the_cache_lacks(cache: Cache) -> None:
    """They are named, and nothing is written of them."""
    change = {next(_names): state_of(Event("never-seen", BASE_US))}
    assert cache.merge(change).missing == [*change]
    assert cache.read([*change]) == {}
    tickets = cache.look(change).tickets
    assert cache.merge(change, tickets).missing == []
    assert cache.merge(change).missing == []
    assert cache.look(change).tickets == tickets
    assert cache.read([*change, "other"]) == change


def test_a_fill_is_kept_only_if_the_entry_has_been_missing_ever_since(cache: Cache) -> None:
    """Else it may lack what was merged meanwhile and lost again: a stale fill would stay for good."""
    name = next(_names)
    old, new = (
        {name: state_of(Event(name, BASE_US + at, values=values_of(country_code=text)))} for at, text in ((0, "old"), (9, "new"))
    )
    slow, quick = cache.look([name]).tickets, cache.look([name]).tickets
    assert slow == quick  # whoever looks while it is missing may fill it
    assert cache.merge(new, quick).missing == []
    forget(cache, name)
    assert cache.merge(old, slow).missing == [name]
    assert cache.read([name]) == {}
    again = cache.look([name]).tickets
    assert again != slow
    assert cache.merge(old, slow).missing == [name]
    assert cache.merge(old, again).missing == []


def test_what_was_made_knowing_an_entry_is_not_joined_into_another(cache: Cache) -> None:
    """It was lost and filled since, by one who may have seen in the database what the change's writer has not."""
    name = next(_names)
    old, new = ({name: state_of(Event(name, BASE_US + at))} for at in (0, 9))
    cache.merge(old, cache.look([name]).tickets)
    known = cache.look([name]).tickets
    assert cache.merge(old, known).missing == []
    forget(cache, name)
    cache.merge(old, cache.look([name]).tickets)
    assert cache.merge(new, known).missing == [name]
    assert cache.read([name]) == old
    assert cache.merge(new, cache.look([name]).tickets).missing == []
    assert cache.read([name]) == new


def test_a_tombstone_stays_and_holds_no_personal_data(cache: Cache, database: Database) -> None:
    """An erased device is known as erased, by version alone."""
    name = "erased-device"
    registration = Event(name, BASE_US, values=values_of("IN", **dict.fromkeys(MAP_FIELDS, '{"os":"9"}')))
    Stores(cache, database).write(join_events([registration]))
    Stores(cache, database).write(join_events([Event(name, BASE_US + 5, erase=True)]))
    Stores(cache, database).write(join_events([registration]))
    assert database.read([name])[name] == State(erased=BASE_US + 5)
    assert cache.read([name]).get(name, State(erased=BASE_US + 5)) == State(erased=BASE_US + 5)


def test_the_database_survives_closing(tmp_path: Path) -> None:
    """What was merged is there after it is opened again."""
    for name, make in DATABASES.items():
        states = {f"{name}-{number}": state_of(Event(f"{name}-{number}", BASE_US + number)) for number in range(3000)}
        first = make(tmp_path)
        first.merge(states)
        first.close()
        second = make(tmp_path)
        assert second.read([*states]) == states
        second.check()
        second.close()


def test_a_scan_meets_every_device(database: Database) -> None:
    """The erased ones too, those whose erase is forgotten by nobody and those that live again."""
    names = [next(_names) for _ in range(1200)]
    states = {
        name: state_of(Event(name, BASE_US + number, values=values_of(country_code="IN"))) for number, name in enumerate(names)
    }
    states[names[0]] = State(erased=BASE_US + 3)
    states[names[1]] = join(states[names[1]], State(erased=BASE_US))
    database.merge(states)
    found: set[str] = set()
    for number in range(database.ranges):
        for page in database.scan(number):
            assert len(page) <= 500
            found.update(page)
    assert found >= {*names}
    assert database.read(names) == states


def test_times_are_numbers_of_ms_in_any_time_zone(cache: Cache, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as the law lets them go, which is past the year 9999, and wherever the process runs."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        for updated_on in (1566383863167, 2**53 - 1):
            states = {next(_names): state_of(Event("d", BASE_US, api_last_updated_on=updated_on, first_access=1565328282703))}
            Stores(cache, database).write(states)
            assert database.read([*states]) == cache.read([*states]) == states
    finally:
        monkeypatch.undo()
        time.tzset()


def test_ids_and_values_are_only_ever_data(cache: Cache, database: Database) -> None:
    """Quotes, colons, spaces and other scripts in ids and values are no syntax anywhere."""
    texts = ["'; DROP TABLE device_profile; --", "a b:c{d}", '"', "é\u2028\U0001f600", "%s", "x" * 230]
    strange = [f"{next(_names)}{text}" for text in texts]
    states = {name: join_all([state_of(Event(name, BASE_US, values=values_of(name)))]) for name in strange}
    Stores(cache, database).write(states)
    assert database.read(strange) == cache.read(strange) == states
