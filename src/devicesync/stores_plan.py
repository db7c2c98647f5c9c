"""What a write must bring into the two stores, of what they hold already. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from devicesync.cache.port import Looked
from devicesync.database.port import Stored
from devicesync.law.facets import EMPTIED_BY_TIES
from devicesync.law.news import met, news
from devicesync.law.state import NOTHING, UNWRITTEN, State, join


class Plan(NamedTuple):
    """Of some changes, by device: what is new, and what the cache must join; and the devices that Stores checks afterwards.

    The cache must join all of a device that was read; else the change, and the erase that its writer knew.
    """

    new: dict[str, State]
    entries: dict[str, State]
    doubtful: list[str]


def plan_of(changes: Mapping[str, State], looked: Looked, stored: Stored) -> Plan:
    """What to do about changes, of what the cache (`looked`) or else the database (`stored`) holds."""
    plan = Plan({}, {}, [])
    for device_id, change in changes.items():  # one device after the other: a batch is larger than the processor's caches
        held = looked.held.get(device_id)
        known = held or stored.states.get(device_id, NOTHING)
        part = news(change, known)
        if part:
            plan.new[device_id] = part
            if _may_have_met(part, known):
                plan.doubtful.append(device_id)
        if not held:
            plan.entries[device_id] = join(known, change)
        elif part:
            plan.entries[device_id] = _told(change, known)
    return plan


def _told(change: State, known: State) -> State:
    return join(change, State(erased=known.erased)) if known.erased else change


def met_in_the_database(changes: Mapping[str, State], stored: Stored, entries: Mapping[str, State]) -> set[str]:
    """Return the devices whose row, written without reading it, would not become the join of the row and the change."""
    return {
        device_id
        for device_id, state in stored.states.items()
        if met(state, _told(changes[device_id], state), entries[device_id])
    } | {*stored.unsettled}


def _may_have_met(part: State, known: State) -> bool:
    return any(known.registers[spot][0] < part.registers[spot][0] <= known.version for spot in EMPTIED_BY_TIES)


def are_tied(part: State, found: State) -> bool:
    """Whether the database shows other content of a version that was just written: that of a tie."""
    pairs = zip(part.registers, found.registers, strict=True)
    return any(mine[0] and mine[0] == theirs[0] and mine != theirs for mine, theirs in pairs)


def left_of(part: State, found: State) -> State:
    """Return the part without the values that the database lost: nothing newer hides them, and yet it does not show them."""
    registers = [
        (mine[0], unwritten[1]) if spot in EMPTIED_BY_TIES and mine[0] > max(theirs[0], found.erased) else mine
        for spot, (mine, theirs, unwritten) in enumerate(zip(part.registers, found.registers, UNWRITTEN, strict=True))
    ]
    return part._replace(registers=tuple(registers))
