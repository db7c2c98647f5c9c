"""What a store shows its readers of a device, so that two stores can be compared by what is seen in them."""

import re
from typing import NamedTuple

import msgspec

from devicesync.law.facets import DECLARED, FACETS, MAP_FIELDS
from devicesync.law.maps import entries_of
from devicesync.law.profile import Profile
from devicesync.law.state import State

_TIMES = ("first_access", "user_declared_on", "api_last_updated_on")
_TIME = re.compile("[0-9]{1,16}")


class Seen(NamedTuple):
    """What readers of one store see of a device.

    version: the profile's, or an erased device's erase's, in µs. 0 where it can't be told.
    texts: the profile's event field names to values, as text: a map as JSON, a time as digits of ms. None for an erased device.
    erased: the highest erase that the store shows, in µs; 0 for none.
    is_ours: False where another program wrote the whole entry, or broke what devicesync keeps beside the profile.
    mark: of a cache's entry a text that changes whenever something is joined into the entry.
    """

    version: int
    texts: dict[str, str] | None
    erased: int = 0
    is_ours: bool = True
    mark: str = ""

    @property
    def profile(self) -> Profile | None:
        """The profile; what can't be read stays a text. None for an erased device."""
        return None if self.texts is None else {name: _value(name, text) for name, text in self.texts.items()}

    @property
    def is_held(self) -> bool:
        """Whether the store counts as holding the device: not where its entry is not ours, or has a map that is no JSON."""
        return self.is_ours and all(_map(text) is not None for name, text in (self.texts or {}).items() if name in MAP_FIELDS)


def seen_of(state: State) -> Seen:
    """What a store shows that shows exactly this state."""
    if not state.version:
        return Seen(state.erased, None, state.erased)
    texts = {"api_last_updated_on": str(state.api_last_updated_on)}
    if state.first_access:
        texts["first_access"] = str(state.first_access)
    for facet, (_, values) in zip(FACETS, state.registers, strict=True):
        texts |= {field: value for field, value in zip(facet.fields, values, strict=True) if value is not None}
    if state.user_declared_on and any(state.registers[DECLARED][1]):
        texts["user_declared_on"] = str(state.user_declared_on)
    return Seen(state.version, texts, state.erased)


def _value(name: str, text: str) -> str | int | dict[str, str]:
    if name in MAP_FIELDS:
        entries = _map(text)
        return text if entries is None else entries
    return int(text) if name in _TIMES and _TIME.fullmatch(text) else text


def _map(text: str) -> dict[str, str] | None:
    try:
        return entries_of(text)
    except msgspec.MsgspecError:
        return None
