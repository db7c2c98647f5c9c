"""From states to timed writes, and from rows back to states. Pure, so that every driver shares it.

Cassandra keeps the cell with the greatest timestamp. So a facet is written USING TIMESTAMP its version, and writes converge on
the newest, whatever their order. first_access and user_declared_on are minima. Their timestamp is made from the value itself,
so that the smaller value has the greater timestamp:

    never erased     2^54 - 1024 × (value + 1), and one more     the smaller the value (ms), the greater the stamp
    erased at N      2^54 + 1024 × N, no value                   beats every minimum of before, and every earlier erase
    live again       the same, and one more, N // 1000           beats the erase itself

No reading, no coordination: replays, zombies and keyless topics end with the same cell. (Stamps issued by the cache's
merge would be lost with the cache while a delayed write is on its way.)

Each step of 1024 has room to hide user_declared_on while a tie leaves nothing declared, and to show it again: the n-th such
tie hides it at 2n above the step, what is declared later shows it at 2n + 1. The ledger remembers these ties, for a deletion's
timestamp can't be read.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from devicesync.database.cassandra import schema
from devicesync.law.facets import DECLARED, FACETS, FIELDS, MAP_FIELDS, SLICES
from devicesync.law.state import UNWRITTEN, Register, State, join

_MINIMUM, _STEP = 2**54, 2**10
_OURS = 2**52  # every stamp of ours lies above it, and every clock below
_LONGEST_AGO = 1  # the version of what was written at an unknown time

_KEPT_MAPS, _KEPT_MAP_BYTES = 1024, 1024
_MAP_FACETS = frozenset(spot for spot, facet in enumerate(FACETS) if facet.fields[0] in MAP_FIELDS)
_TIED = {spot: facet.name for spot, facet in enumerate(FACETS) if facet.name in schema.REMEMBER_TIES}


class Call(NamedTuple):
    """A statement of schema.py, and the values that it binds: times in ms, timestamps in µs."""

    statement: str
    values: Sequence[Any]


Request = Sequence[Call]
"""One call; or several writes sent as one batch without a log, each with the timestamp that its statement names."""


class Erasure(NamedTuple):
    """What the ledger knows of a device.

    version: the highest erase's, in µs; 0 when never erased.
    location, user_declared: the versions at which a tie emptied the facet, in µs.
    user_declared_on: ms, while it hides; else 0.
    """

    version: int = 0
    location: frozenset[int] = frozenset()
    user_declared: frozenset[int] = frozenset()
    user_declared_on: int = 0

    @property
    def has_ties(self) -> bool:
        """Whether a tie emptied a facet of this device."""
        return bool(self.location or self.user_declared)


NO_ERASURE = Erasure()


def erasure_of(row: Sequence[Any]) -> tuple[str, Erasure]:
    """A device's id and erasure, from a row of schema.READ_ERASURES."""
    device_id, version, location, declared, hidden = row
    return device_id, Erasure(version or 0, frozenset(location or ()), frozenset(declared or ()), hidden or 0)


def erase_of(device_id: str, state: State) -> list[Call]:
    """What the ledger must be told of the state's erase. It comes before the row, for a row is read before the ledger."""
    if not state.erased:
        return []
    return [
        Call(schema.REMEMBER_ERASE, (device_id, state.erased, state.erased)),
        Call(schema.HIDDEN_DECLARED_ON, (_stamp(0, state.erased, 0), None, device_id)),
    ]


def ties_of(device_id: str, state: State) -> list[Call]:
    """What the ledger must be told of the state's ties. It comes after the row: an older row would show them as its own."""
    calls = []
    for spot, name in _TIED.items():
        version, values = state.registers[spot]
        if version and not any(values):
            calls.append(Call(schema.REMEMBER_TIES[name], (version, {version}, device_id)))
            if spot == DECLARED and not state.erased:
                stamp = _stamp(state.user_declared_on, 0, 1)
                calls.append(Call(schema.HIDDEN_DECLARED_ON, (stamp, state.user_declared_on, device_id)))
    return calls


def row_of(device_id: str, change: State, dialect: schema.Dialect) -> list[Call]:
    """What must be written so that the device's row contains the change."""
    erased = change.erased
    calls = [Call(schema.ERASE, (erased, device_id))] if erased else []
    if change.version:
        calls += _facets(device_id, change, dialect)
    is_declared = bool(change.user_declared_on) and bool(not erased or change.registers[DECLARED][0])
    for statement, value_ms in (
        (schema.FIRST_ACCESS, change.first_access if change.version else 0),
        (schema.USER_DECLARED_ON, change.user_declared_on if is_declared else 0),
    ):
        if value_ms:
            calls.append(Call(statement, (_stamp(value_ms, erased, 1), value_ms, device_id)))
        elif erased:
            calls.append(Call(statement, (_stamp(0, erased, 0), None, device_id)))
    return calls


def settled_row_of(device_id: str, state: State, erasure: Erasure, dialect: schema.Dialect) -> list[Call]:
    """What must be written so that the device's row shows the state, which contains all that the row and the ledger know."""
    calls = row_of(device_id, state, dialect)
    if not state.version:
        return calls
    declared_at, declared = state.registers[DECLARED]
    known = erasure.user_declared | ({declared_at} if declared_at and not any(declared) else set())
    ties = sum(state.erased < version <= declared_at for version in known)
    if ties:
        shown = declared_at not in known
        stamp = _stamp(state.user_declared_on, state.erased, 2 * ties + shown)
        calls.append(Call(schema.USER_DECLARED_ON, (stamp, state.user_declared_on if shown else None, device_id)))
    for statement, value_ms in ((schema.FIRST_ACCESS, state.first_access), (schema.USER_DECLARED_ON, state.user_declared_on)):
        if not value_ms:
            calls.append(Call(statement, (_OURS, None, device_id)))
    return calls


def state_of_row(row: Sequence[Any] | None, erasure: Erasure, dialect: schema.Dialect) -> tuple[State, bool]:
    """The state that a row (schema.read, without the id) and the ledger stand for, and whether the row shows it."""
    erase = State(erased=erasure.version)
    if row is None:
        return erase, True
    updated_on, first_access, declared_on, _, updated_at, first_at, declared_at, date_at, *rest = row
    values, times = rest[: len(FIELDS)], list(rest[len(FIELDS) :])
    if dialect.reads_columns:
        _date_maps(values, times, (updated_at, first_at, declared_at, date_at))
    written = [_register(values[where], times[where], unwritten) for where, unwritten in zip(SLICES, UNWRITTEN, strict=True)]
    version = max(updated_at or 0, *(register[0] for register in written))
    if not version:
        return erase, not erasure.version or (first_access is None and declared_on is None)
    registers = tuple([_emptied(spot, register, erasure) for spot, register in enumerate(written)])
    since, hidden = _clamped(declared_on, declared_at), erasure.user_declared_on
    if not registers[DECLARED][0] and (declared_at or 0) < _OURS:
        since = 0  # another job's: nothing is declared. Ours stays: a tie, not yet in the ledger, emptied what was declared
    state = State(
        version,
        0,
        _clamped(updated_on, None) or version // 1000,
        _clamped(first_access, first_at),
        min(since or hidden, hidden or since),
        registers,
    )
    state = join(state, erase) if erase.erased else state
    return state, _shows(row[:8], written, state)


def _shows(times: Sequence[int | None], written: Sequence[Register], state: State) -> bool:
    updated_on, first_access, declared_on, updated_date, updated_at, first_at, declared_at, _ = times
    if not state.version or any(0 < register[0] <= state.erased for register in written):
        return False
    is_declared = any(state.registers[DECLARED][1])
    floor = _stamp(0, state.erased, 0) if state.erased else _OURS  # a minimum of before may be just the erase's, and goes with it
    return (
        (updated_on, updated_at) == (state.api_last_updated_on, state.version)
        and (updated_date or 0) >= state.version // 1000  # a later one stays: of two equal timestamps the greater value wins
        and first_access == (state.first_access or None)
        and declared_on == ((state.user_declared_on or None) if is_declared else None)
        and all(stamp is None or stamp > floor for stamp in (first_at, declared_at))
        and all(any(mine[1]) == any(theirs[1]) for mine, theirs in zip(written, state.registers, strict=True))
    )


def _date_maps(values: Sequence[Any], times: list[Any], others: Sequence[int | None]) -> None:
    """A map without a version was written by another job: it counts as of the row's other cells. In place."""
    own = [time for time in (*times, *others) if time and time < _OURS]
    for spot, (value, time) in enumerate(zip(values, times, strict=True)):
        if value and not time:
            times[spot] = max(own, default=_LONGEST_AGO)


def _clamped(value_ms: int | None, written_at: int | None) -> int:
    """What a time of the row counts as: no value when it lies before 1970, and not later than another job's clock."""
    value = max(value_ms or 0, 0)
    return min(value, written_at // 1000) if written_at and written_at < _OURS else value


def _emptied(spot: int, register: Register, erasure: Erasure) -> Register:
    if spot not in _TIED:
        return register
    at = max((version for version in getattr(erasure, _TIED[spot]) if version > erasure.version), default=0)
    return (at, UNWRITTEN[spot][1]) if at and at >= register[0] else register


def _map_of(text: str) -> Any:
    return msgspec.json.decode(text)


_kept_map = lru_cache(_KEPT_MAPS)(_map_of)


def _map(text: str) -> Any:
    return _kept_map(text) if len(text) <= _KEPT_MAP_BYTES else _map_of(text)


def _facets(device_id: str, state: State, dialect: schema.Dialect) -> list[Call]:
    live = state.version
    older = {written_at for written_at, _ in state.registers if written_at and written_at != live}
    if state.api_last_updated_on or any(written_at == live for written_at, _ in state.registers):
        older.add(live)
    return [_facets_at(version, device_id, state, dialect) for version in sorted(older)]


def _facets_at(version: int, device_id: str, state: State, dialect: schema.Dialect) -> Call:
    facets = 0
    values: list[Any] = [device_id]
    for spot, (written_at, of_facet) in enumerate(state.registers):
        if written_at == version:
            facets |= 1 << spot
            if spot not in _MAP_FACETS:
                values += of_facet
            else:
                values.append(of_facet[0] and _map(of_facet[0]))
                if dialect.has_columns:
                    values.append(version)
    is_live = version == state.version and bool(state.api_last_updated_on)
    if is_live:
        values += state.api_last_updated_on, version // 1000
    values.append(version)
    return Call(schema.write(facets, dialect, is_live=is_live), values)


def _register(values: Sequence[Any], times: Sequence[int | None], unwritten: Register) -> Register:
    version = max((time for time in times if time), default=0)
    if not version:
        return unwritten
    return version, tuple([_text(value) for value in values])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return msgspec.json.Encoder(order="deterministic").encode(dict(value)).decode() if value else None


def _stamp(value_ms: int, erased: int, slot: int) -> int:
    step = _MINIMUM + _STEP * erased if erased else _MINIMUM - _STEP * (value_ms + 1)
    return step + min(slot, _STEP - 1)
