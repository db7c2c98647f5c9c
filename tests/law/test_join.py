"""The incremental merge is the law: any order, duplication, batching or split gives what the set says."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devicesync.law.event import Event
from devicesync.law.profile import view
from devicesync.law.state import NOTHING, State, is_sound, join, join_all, state_of
from devicesync.law.values import TIME_LIMIT_MS
from devicesync.law.version import LATEST_US
from tests.law.specification import specified
from tests.law.strategies import device_events, events, few_entries, values_of


@pytest.fixture(autouse=True, scope="module")
def _unions_with_too_many_entries() -> Iterator[None]:
    with few_entries():
        yield


def seen(state: State) -> dict[str, Any]:
    document = view("d", state)
    return {name: document[name] for name in ("version", "erased", "profile")}


@pytest.mark.slow
@settings(max_examples=1500)
@given(device_events(), st.randoms(use_true_random=False))
def test_any_order_gives_what_the_set_says(drawn: list[Event], shuffle: random.Random) -> None:
    """Shuffled and duplicated events joined one by one equal the set-based specification."""
    shuffle.shuffle(drawn)
    assert specified(drawn) == seen(join_all(map(state_of, drawn)))


@pytest.mark.slow
@settings(max_examples=500)
@given(device_events(), st.integers(0, 8), st.integers(0, 8))
def test_split_states_merged_later_are_the_same(drawn: list[Event], one: int, two: int) -> None:
    """Three readers that each saw a part (parts may overlap) know together what one reader of everything knows."""
    states = list(map(state_of, drawn))
    parts = [join_all(states[:one]), join_all(states[min(one, two) :]), join_all(states[:two])]
    assert join_all([*states]) == join_all(reversed(parts))


@given(events(), events(), events())
def test_join_is_associative_commutative_and_idempotent(one: Event, two: Event, three: Event) -> None:
    """The three laws of a semilattice, on normal forms and not only on what is shown."""
    a, b, c = state_of(one), state_of(two), state_of(three)
    assert join(a, join(b, c)) == join(join(a, b), c)
    assert join(a, b) == join(b, a)
    assert join(a, a) == a


@pytest.mark.slow
@given(device_events())
def test_joining_what_is_known_returns_the_same_object(drawn: list[Event]) -> None:
    """Stores recognise by identity that a change adds nothing, and then write nothing."""
    state = join_all(map(state_of, drawn))
    assert all(join(state, state_of(event)) is state for event in drawn)
    assert join(state, NOTHING) is state
    assert join(NOTHING, state) == state


def test_numbers_that_no_events_can_make_are_told() -> None:
    """Another program may have written them into a store."""
    live = state_of(Event("d", 5000, values=values_of(city="Pune")))
    assert all(map(is_sound, (NOTHING, live, State(erased=5000), join(live, State(erased=4999)))))
    unsound = (
        live._replace(version=4999),
        live._replace(version=LATEST_US + 1),
        State(erased=LATEST_US + 1),
        live._replace(erased=5000),
        live._replace(first_access=TIME_LIMIT_MS),
    )
    assert not any(map(is_sound, unsound))
