"""What a store shows that shows exactly one state."""

from devicesync.law.event import Event
from devicesync.law.profile import profile_of
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State, join, state_of
from tests.law.strategies import BASE_US


def test_a_profile_and_a_tombstone() -> None:
    """Each under the highest version, and with the erase that is known."""
    live = join(state_of(Event("d", BASE_US + 1)), State(erased=BASE_US))
    assert seen_of(live) == Seen(BASE_US + 1, profile_of(live), BASE_US)
    assert seen_of(State(erased=BASE_US)) == Seen(BASE_US, None, BASE_US)
