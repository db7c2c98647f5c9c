"""What is known of one device, and how two such knowledges join (docs/law.md).

States form a join-semilattice: `join` is associative, commutative and idempotent, and the state of a set of events is
the join of the states of each. So any order, duplication, batching or split gives the same profile. Every store merges
by this join; no store has rules of its own.
"""

from collections.abc import Iterable
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

from devicesync.law.facets import DECLARED, FACETS, MAP_FIELDS, SLICES, Values
from devicesync.law.maps import union
from devicesync.law.values import TIME_LIMIT_MS
from devicesync.law.version import LATEST_US

if TYPE_CHECKING:
    from devicesync.law.event import Event

Register = tuple[int, Values]
"""A facet's last write: its version in µs (0: never written) and its values in the order of the facet's fields."""

UNWRITTEN: tuple[Register, ...] = tuple((0, (None,) * len(facet.fields)) for facet in FACETS)
_SLICES_AND_UNWRITTEN = tuple(zip(SLICES, UNWRITTEN, strict=True))


class State(NamedTuple):
    """The knowledge of one device. Normal form: what the erase removes is not there, so equal knowledge is equal tuples.

    version: the highest version of a live registration in µs, 0 when none is live.
    erased: the highest erase's version in µs, 0 when never erased. Only registrations above it are live.
    api_last_updated_on: ms, that of the live registration with the highest version; 0 when none is live.
    first_access: ms, 0 when unknown; of a live device once erased: erased // 1000.
    user_declared_on: ms, 0 when never declared; of a live device once erased: erased // 1000.
    registers: one per facet, in the order of facets.FACETS.
    """

    version: int = 0
    erased: int = 0
    api_last_updated_on: int = 0
    first_access: int = 0
    user_declared_on: int = 0
    registers: tuple[Register, ...] = UNWRITTEN

    @property
    def profile_version(self) -> int:
        """The highest version seen, in µs: of a registration or of an erase."""
        return max(self.version, self.erased)

    @property
    def text_bytes(self) -> int:
        """How much memory its texts take, as Python holds them: one emoji makes it four bytes for each of a text's characters."""
        return sum([getsizeof(text) for _, values in self.registers for text in values if text])


NOTHING = State()
"""The state of a device of which nothing is known; the join's neutral element."""


def state_of(event: "Event") -> State:
    """What one event alone says."""
    version = event.version
    if event.erase:
        return State(erased=version)
    version_ms = version // 1000
    values = event.values
    registers = tuple(
        [(version, part) if (part := values[where]) != unwritten[1] else unwritten for where, unwritten in _SLICES_AND_UNWRITTEN]
    )
    updated_on = event.api_last_updated_on or version_ms
    return State(
        version,
        0,
        updated_on,
        min(event.first_access, version_ms),
        min(updated_on, version_ms) if registers[DECLARED][0] else 0,
        registers,
    )


def join(one: State, other: State) -> State:
    """Everything that either knows. The result is one of its arguments, by identity, where the other adds nothing to it."""
    if other is NOTHING or one == other:
        return one
    if one is NOTHING:
        return other
    newer, older = one, other
    if (one.version, one.api_last_updated_on) < (other.version, other.api_last_updated_on):
        newer, older = other, one
    registers = tuple(
        [
            mine if mine[0] > theirs[0] or mine == theirs else theirs if theirs[0] > mine[0] else _tie(spot, mine, theirs)
            for spot, (mine, theirs) in enumerate(zip(newer.registers, older.registers, strict=True))
        ]
    )
    joined = _without_erased(
        State(
            newer.version,
            max(one.erased, other.erased),
            newer.api_last_updated_on,
            _earlier(one.first_access, other.first_access),
            _earlier(one.user_declared_on, other.user_declared_on),
            registers,
        )
    )
    if joined == one:
        return one
    return other if joined == other else joined


def join_all(states: Iterable[State]) -> State:
    """The join of any number of states; NOTHING for none."""
    result = NOTHING
    for state in states:
        result = join(result, state)
    return result


def _without_erased(state: State) -> State:
    erased = state.erased
    if not erased:
        return state
    if state.version <= erased:
        return State(erased=erased)
    erased_ms = erased // 1000
    return State(
        state.version,
        erased,
        state.api_last_updated_on,
        erased_ms,
        erased_ms,
        tuple(
            [
                unwritten if register[0] <= erased else register
                for register, unwritten in zip(state.registers, UNWRITTEN, strict=True)
            ]
        ),
    )


def is_sound(state: State) -> bool:
    """Whether some set of events has these numbers; for a state that another program may have written."""
    version, erased, *times_ms, registers = state
    return (
        max([at for at, _ in registers]) <= version
        and max(version, erased) <= LATEST_US
        and max(times_ms) < TIME_LIMIT_MS
        and (not erased or not version or version > erased)
    )


def _earlier(one_ms: int, other_ms: int) -> int:
    return min(one_ms or other_ms, other_ms or one_ms)


def _tie(spot: int, one: Register, other: Register) -> Register:
    """Equal versions, other content: per field as Cassandra does it: no value beats a value, else the greater wins."""
    merged: list[str | None] = []
    for field, mine, theirs in zip(FACETS[spot].fields, one[1], other[1], strict=True):
        if mine is None or theirs is None:
            merged.append(None)
        elif field in MAP_FIELDS:
            merged.append(union(mine, theirs))
        else:
            merged.append(max(mine, theirs))
    return one[0], tuple(merged)
