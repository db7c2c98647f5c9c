"""What a store shows its readers of a device, so that two stores can be compared by what is seen in them."""

from typing import NamedTuple

from devicesync.law.profile import Profile, profile_of
from devicesync.law.state import State


class Seen(NamedTuple):
    """What readers of one store see of a device.

    version: the profile's, or an erased device's erase's, in µs. 0 where it can't be told.
    profile: None for an erased device.
    erased: the highest erase that the store shows, in µs; 0 for none.
    is_held: False where it is no entry of ours: another program wrote it, or broke it. To us the device is not held then.
    mark: of a cache's entry a text that changes whenever something is joined into the entry.
    """

    version: int
    profile: Profile | None
    erased: int = 0
    is_held: bool = True
    mark: str = ""


def seen_of(state: State) -> Seen:
    """What a store shows that shows exactly this state."""
    return Seen(state.profile_version, profile_of(state), state.erased)
