"""The law as a statement about sets: what the profile of a set of events is, without any order or state.

Slow and plain on purpose. The incremental merge is compared with it (test_join.py), and so is every store
(tests/contract). Written from docs/law.md alone.
"""

import json
from collections.abc import Collection
from typing import Any

import msgspec

from devicesync.law import maps
from devicesync.law.event import Event
from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS, USER_DECLARED

_SPOTS = {field: spot for spot, field in enumerate(FIELDS)}


def specified(events: Collection[Event]) -> dict[str, Any]:
    """{"version", "erased", "profile"} of one device, given all its events."""
    erased_at = max((event.version for event in events if event.erase), default=0)
    registrations = [event for event in events if not event.erase]
    live = [event for event in registrations if event.version > erased_at]
    return {
        "version": max((event.version for event in events), default=None),
        "erased": bool(erased_at) and not live,
        "profile": _profile(registrations, live, erased_at) if live else None,
    }


def _profile(registrations: list[Event], live: list[Event], erased_at: int) -> dict[str, Any]:
    newest = max(event.version for event in live)
    profile: dict[str, Any] = {"api_last_updated_on": max(_updated_on(event) for event in live if event.version == newest)}
    for facet in FACETS:
        writers = [event for event in live if any(_value(event, field) for field in facet.fields)]
        last = max((event.version for event in writers), default=0)
        for field in facet.fields:
            written = [_value(event, field) for event in writers if event.version == last]
            winner = _winner(field, written) if written and None not in written else None
            if winner is not None:
                profile[field] = winner
    first = [min(event.first_access, event.version // 1000) for event in registrations if event.first_access]
    if erased_at or first:
        profile["first_access"] = erased_at // 1000 if erased_at else min(first)
    declared = USER_DECLARED.fields
    if any(field in profile for field in declared):
        times = [
            min(_updated_on(event), event.version // 1000)
            for event in registrations
            if any(_value(event, field) for field in declared)
        ]
        profile["user_declared_on"] = erased_at // 1000 if erased_at else min(times)
    return profile


def _winner(field: str, written: list[str]) -> Any:
    if field not in MAP_FIELDS:
        return max(written, key=str.encode)
    entries: dict[str, list[str]] = {}
    for text in written:
        for key, value in msgspec.json.decode(text).items():
            entries.setdefault(key, []).append(value)
    if len(entries) > maps.MOST_ENTRIES:
        return None
    united = {key: max(values, key=str.encode) for key, values in entries.items()}
    long = [entries for entries in map(msgspec.json.decode, {*written}) if _is_long(entries)]
    return united if not long or long == [united] else None


def _is_long(entries: dict[str, str]) -> bool:
    texts = (json.dumps(text, ensure_ascii=False)[1:-1] for text in (*entries, *entries.values()))
    return max(len(text.encode()) for text in texts) > maps.LONGEST_UNITED


def _updated_on(event: Event) -> int:
    return event.api_last_updated_on or event.version // 1000


def _value(event: Event, field: str) -> Any:
    return event.values[_SPOTS[field]]
