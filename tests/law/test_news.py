"""What must still be written by one who knows something already, and what a store without the join can't make of both."""

import pytest
from hypothesis import given

from devicesync.law.event import Event
from devicesync.law.facets import DECLARED, FIELDS
from devicesync.law.maps import map_text
from devicesync.law.news import met, news
from devicesync.law.state import NOTHING, UNWRITTEN, State, join, join_all, state_of
from tests.law.strategies import BASE_US, device_events, few_entries, values_of

LOCATION_OF = {"a": ("a",) + (None,) * (len(FIELDS) - 1), "b": (None, "b") + (None,) * (len(FIELDS) - 2)}


def registration(version: int, location: str | None = None, first_access: int = 0) -> State:
    values = LOCATION_OF[location] if location else (None,) * len(FIELDS)
    return state_of(Event("d", version, values=values, first_access=first_access))


def erasure(version: int) -> State:
    return State(erased=version)


def without_values(state: State) -> State:
    """As a cache's `look` gives it."""
    return state._replace(registers=tuple((version, ()) for version, _ in state.registers))


@pytest.mark.slow
@given(device_events(), device_events())
def test_the_news_and_what_is_known_are_everything(known_events: list[Event], new_events: list[Event]) -> None:
    """However much of the change is left out, and also where only the versions are known."""
    known, change = join_all(map(state_of, known_events)), join_all(map(state_of, new_events))
    for seen in (known, without_values(known)):
        assert join(known, news(change, seen) or NOTHING) == join(known, change)


def test_what_is_known_is_no_news() -> None:
    """An older facet, a minimum that is no smaller, a registration that was erased."""
    known = registration(BASE_US + 9, "a", first_access=5)
    assert news(registration(BASE_US, "b", first_access=7), known) is None
    assert news(registration(BASE_US), erasure(BASE_US)) is None
    assert news(erasure(BASE_US), erasure(BASE_US + 1)) is None
    smaller = news(registration(BASE_US, "b", first_access=3), known)
    assert smaller == State(BASE_US, first_access=3)
    assert smaller.registers == UNWRITTEN


@pytest.mark.slow
@given(device_events(), device_events())
def test_what_a_tie_hides_is_told_with_the_tie(known_events: list[Event], new_events: list[Event]) -> None:
    """It was 0 where it was known: then the least user_declared_on counted as 0 for good, in one store of two."""
    known, change = join_all(map(state_of, known_events)), join_all(map(state_of, new_events))
    for seen in (known, without_values(known)):
        told = news(change, seen)
        version, values = told.registers[DECLARED] if told else (0, ())
        if told and version and not any(values):
            assert told.user_declared_on == join(known, change).user_declared_on


def test_a_tie_of_a_known_declaration_tells_since_when() -> None:
    """As above, the shortest one."""
    known = registration_of(user_declared_state="x")
    tie = join(known, registration_of(user_declared_district="q"))
    assert news(tie, known) == State(BASE_US, 0, BASE_US // 1000, 0, BASE_US // 1000, tie.registers)


def test_what_is_of_one_version_is_written_again() -> None:
    """Whoever wrote it may have died in the middle: between the ledger and the row, say."""
    assert news(erasure(BASE_US), erasure(BASE_US)) == erasure(BASE_US)
    assert news(registration(BASE_US, "a"), registration(BASE_US, "a")) == State(BASE_US, 0, BASE_US // 1000)
    known = without_values(registration(BASE_US, "a"))
    assert news(registration(BASE_US, "a"), known) == registration(BASE_US, "a")


def test_of_a_device_once_erased_the_erase_is_added() -> None:
    """Its minima are the erase's, and its writer tells the database so."""
    part = news(registration(BASE_US + 9, "a", first_access=5), erasure(BASE_US))
    assert part is not None
    assert (part.erased, part.first_access) == (BASE_US, BASE_US // 1000)
    assert news(erasure(BASE_US + 1), erasure(BASE_US)) == erasure(BASE_US + 1)


def meet(before: State, change: State) -> bool:
    return met(before, change, join(before, change))


def test_what_one_store_cannot_join_by_itself() -> None:
    """An erase and what came after it, unless the writer knew both; two of one version; a facet that a tie emptied."""
    assert not meet(registration(BASE_US, "a"), registration(BASE_US + 1, "b"))
    assert not meet(registration(BASE_US, "a"), registration(BASE_US, "a"))
    assert not meet(registration(BASE_US, "a"), erasure(BASE_US + 1))
    assert meet(registration(BASE_US + 1, "a"), erasure(BASE_US))
    assert meet(erasure(BASE_US), registration(BASE_US + 1, "a"))
    assert not meet(erasure(BASE_US), join(registration(BASE_US + 1, "a"), erasure(BASE_US)))
    assert meet(registration(BASE_US, "a"), registration(BASE_US, "b"))
    emptied = join(registration(BASE_US, "a"), registration(BASE_US, "b"))
    assert meet(emptied, registration(BASE_US + 1, "a"))
    assert meet(registration(BASE_US + 1, "a"), emptied)


def test_a_union_that_is_no_value_cannot_be_joined_by_a_store() -> None:
    """It has all entries, and nothing tells it that they are too many."""
    one, other = (registration_of(device_spec=map_text({f"{letter}{number}": "v" for number in range(2)})) for letter in "ab")
    assert not meet(one, other)
    with few_entries():
        assert meet(one, other)


def registration_of(**fields: str | None) -> State:
    return state_of(Event("d", BASE_US, values=values_of(**fields)))
