"""Large maps. Cassandra takes a map apart, and so must we: what that needs has a bound.

One that only many ties can make is too large for a request. Cassandra unites maps by itself, so it goes in parts.
"""

from collections.abc import Iterator, Mapping

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.call import Call
from devicesync.law import maps
from devicesync.law.facets import MAPS
from devicesync.law.state import State

_CHARACTERS_AT_ONCE = 4 << 20
_PART_CHARACTERS = 1 << 18
"""So a request of the two maps of four rows stays far below the 16 MiB that Cassandra takes. No event's map has so many."""


def in_parts(changes: Mapping[str, State]) -> Iterator[dict[str, State]]:
    """Yield the changes in parts. The maps of a part have few MiB: a map taken apart needs twelve times its text."""
    part: dict[str, State] = {}
    size = 0
    for device_id, change in changes.items():
        part[device_id] = change
        size += change.map_characters
        if size > _CHARACTERS_AT_ONCE:
            yield part
            part, size = {}, 0
    if part:
        yield part


def first_part(text: str) -> dict[str, str]:
    """The entries of a map that go with its row: all of them, but of a large one the first."""
    entries = maps.entries_of(text)
    return entries if len(text) <= _PART_CHARACTERS else dict(next(_parts(entries)))


def rest_of(device_id: str, state: State) -> Iterator[Call]:
    """What must be written of a state after its row, each call alone: the other entries of its large maps."""
    for spot in MAPS:
        version, (text,) = state.registers[spot]
        if text and len(text) > _PART_CHARACTERS:
            _, *rest = _parts(maps.entries_of(text))
            for part in rest:
                yield Call(schema.ADD_ENTRIES[spot], (version, dict(part), device_id))


def _parts(entries: Mapping[str, str]) -> Iterator[list[tuple[str, str]]]:
    part: list[tuple[str, str]] = []
    size = 0
    for key, value in entries.items():
        size += len(key) + len(value)
        if part and size > _PART_CHARACTERS:
            yield part
            part, size = [], len(key) + len(value)
        part.append((key, value))
    if part:
        yield part
