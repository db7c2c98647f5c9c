"""The profile as people and programs see it: what `get --json` prints, and the digest that two stores compare."""

import hashlib
from typing import Any

import msgspec

from devicesync.law.facets import DECLARED, FACETS, MAP_FIELDS
from devicesync.law.state import State

_canonical_json = msgspec.json.Encoder(order="sorted")

Profile = dict[str, str | int | dict[str, str]]
"""Event field names to values: times in ms as integers, maps of strings, everything else a string. Absent is absent."""


def profile_of(state: State) -> Profile | None:
    """The live profile, or None for a device that is unknown or erased."""
    texts = texts_of(state)
    if texts is None:
        return None
    return {field: msgspec.json.decode(str(value)) if field in MAP_FIELDS else value for field, value in texts.items()}


def texts_of(state: State) -> dict[str, str | int] | None:
    """The live profile, with its maps as their JSON text: decoding a large one takes some ms."""
    if not state.version:
        return None
    profile: dict[str, str | int] = {"api_last_updated_on": state.api_last_updated_on}
    if state.first_access:
        profile["first_access"] = state.first_access
    for facet, (_, facet_values) in zip(FACETS, state.registers, strict=True):
        profile |= {field: value for field, value in zip(facet.fields, facet_values, strict=True) if value is not None}
    if state.user_declared_on and any(state.registers[DECLARED][1]):
        profile["user_declared_on"] = state.user_declared_on
    return profile


def digest(profile: Profile | None) -> str | None:
    """SHA-256, in hex, of the profile as sorted compact UTF-8 JSON; None for no profile."""
    return None if profile is None else hashlib.sha256(_canonical_json.encode(profile)).hexdigest()


def view(device_id: str, state: State) -> dict[str, Any]:
    """The document that `get --json` prints (docs/reference/json.md, "get"). `version` is None for an unknown device."""
    profile = profile_of(state)
    return {
        "device_id": device_id,
        "version": state.profile_version or None,
        "erased": profile is None and state.erased > 0,
        "digest": digest(profile),
        "profile": profile,
    }
