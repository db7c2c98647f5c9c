"""What a store shows that shows exactly one state, and what readers make of what somebody else wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.law.event import Event
from devicesync.law.profile import profile_of
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State, join, join_all, state_of
from tests.law.strategies import BASE_US, events


@given(st.lists(events(), min_size=1, max_size=6))
def test_it_is_the_profile(drawn: list[Event]) -> None:
    """Of any state, under the highest version, and with the erase that is known."""
    state = join_all(map(state_of, drawn))
    seen = seen_of(state)
    assert (seen.version, seen.profile, seen.erased, seen.is_held) == (
        state.profile_version,
        profile_of(state),
        state.erased,
        True,
    )


def test_a_profile_and_a_tombstone() -> None:
    """A device that lives again tells of its erase too."""
    live = join(state_of(Event("d", BASE_US + 1)), State(erased=BASE_US))
    assert seen_of(live).erased == BASE_US
    assert seen_of(State(erased=BASE_US)) == Seen(BASE_US, None, BASE_US)
    assert seen_of(State(erased=BASE_US)).profile is None


@pytest.mark.parametrize(
    ("texts", "profile", "is_held"),
    [
        ({"uaspec": '{"a": "b"}', "first_access": "5"}, {"uaspec": {"a": "b"}, "first_access": 5}, True),
        ({"uaspec": "{'a'}", "city": "7"}, {"uaspec": "{'a'}", "city": "7"}, False),
        ({"first_access": "soon"}, {"first_access": "soon"}, True),
        ({"first_access": "٣"}, {"first_access": "٣"}, True),
        ({"first_access": "9" * 5000}, {"first_access": "9" * 5000}, True),
    ],
)
def test_what_cannot_be_read_stays_a_text(texts: dict[str, str], profile: object, is_held: bool) -> None:  # noqa: FBT001
    """A map that is no JSON makes the whole entry count as not held."""
    assert (Seen(1, texts).profile, Seen(1, texts).is_held) == (profile, is_held)
    assert not Seen(1, {}, is_ours=False).is_held
