"""From states to timed writes, and from rows back to states. Pure, so that every driver shares it.

Cassandra keeps the cell with the greatest timestamp, so a facet is written USING TIMESTAMP its version and blind writes
converge on the newest, whatever their order. first_access and user_declared_on are minima: their timestamp is made from
the value itself, so that the smaller value has the greater timestamp, and one made by an erase beats all without:

    never erased     2^53 - value                     the smaller the value (ms), the greater the stamp
    erased at N      2^53 + 2N      and no value      beats every minimum of before, and every earlier erase
    live again       2^53 + 2N + 1  and N // 1000     beats the erase itself

No reading, no coordination: replays, zombies and keyless topics end with the same cell. (design.md proposes stamps issued
by the cache's merge; those are lost with the cache while a delayed write is on its way.)
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from devicesync.law.facets import DECLARED, FIELDS, MAP_FIELDS, SLICES
from devicesync.law.state import UNWRITTEN, Register, State, join

_MINIMUM = 2**53

Statement = Literal["write", "first_access", "user_declared_on", "erase", "remember_erase"]


class Unset:
    """Stands for a column that a write does not touch; each driver has a value of its own for it."""


UNSET = Unset()


class Write(NamedTuple):
    """One statement and its values, in the order in which cassandra_schema binds them; times in ms, timestamps in µs."""

    statement: Statement
    values: tuple[Any, ...]


def writes_of(device_id: str, state: State) -> list[Write]:
    """What must be written so that the device's row contains the state."""
    writes = []
    if state.erased:
        writes.append(Write("erase", (state.erased, device_id)))
        writes.append(Write("remember_erase", (device_id, state.erased, state.erased)))
    if not state.version:
        stamp = _MINIMUM + 2 * state.erased
        return [*writes, Write("first_access", (stamp, None, device_id)), Write("user_declared_on", (stamp, None, device_id))]
    versions = {state.version, *(register[0] for register in state.registers if register[0])}
    writes += [_facets_at(version, device_id, state) for version in sorted(versions)]
    if state.first_access:
        writes.append(Write("first_access", (_stamp(state.first_access, state.erased), state.first_access, device_id)))
    if state.user_declared_on and (state.erased or state.registers[DECLARED][0]):
        stamp = _stamp(state.user_declared_on, state.erased)
        writes.append(Write("user_declared_on", (stamp, state.user_declared_on, device_id)))
    return writes


def state_of_row(row: Sequence[Any] | None, erased: int) -> State:
    """The state that a row (cassandra_schema.READ, times in ms) and the device's highest erase (0: none) stand for."""
    erase = State(erased=erased)
    if row is None:
        return erase
    updated_on, first_access, declared_on, updated_at, *rest = row
    values, times = rest[: len(FIELDS)], rest[len(FIELDS) :]
    registers = tuple(
        [_register(values[where], times[where], unwritten) for where, unwritten in zip(SLICES, UNWRITTEN, strict=True)]
    )
    version = max(updated_at or 0, *(register[0] for register in registers))
    if not version:
        return erase
    state = State(version, 0, updated_on or version // 1000, first_access or 0, declared_on or 0, registers)
    return join(state, erase) if erased else state


def _facets_at(version: int, device_id: str, state: State) -> Write:
    values: list[Any] = []
    for register, unwritten in zip(state.registers, UNWRITTEN, strict=True):
        values += register[1] if register[0] == version else [UNSET] * len(unwritten[1])
    for spot, field in enumerate(FIELDS):
        if field in MAP_FIELDS and isinstance(values[spot], str):
            values[spot] = msgspec.json.decode(values[spot])
    live = version == state.version
    updated_on, date = (state.api_last_updated_on, version // 1000) if live else (UNSET, UNSET)
    return Write("write", (device_id, updated_on, date, *values, version))


def _register(values: Sequence[Any], times: Sequence[int | None], unwritten: Register) -> Register:
    version = max((time for time in times if time), default=0)
    if not version:
        return unwritten
    return version, tuple([_text(value) for value in values])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    return msgspec.json.Encoder(order="deterministic").encode(dict(value)).decode() if value else None


def _stamp(value_ms: int, erased: int) -> int:
    return _MINIMUM + 2 * erased + 1 if erased else _MINIMUM - value_ms
