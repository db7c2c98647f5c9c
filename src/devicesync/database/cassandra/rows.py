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
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from devicesync.database.cassandra import schema
from devicesync.law.facets import DECLARED, FACETS, FIELDS, MAP_FIELDS, SLICES
from devicesync.law.state import UNWRITTEN, Register, State, join

_MINIMUM = 2**53

_KEPT_MAPS = 1024
_MAP_FACETS = frozenset(spot for spot, facet in enumerate(FACETS) if facet.fields[0] in MAP_FIELDS)


class Call(NamedTuple):
    """A statement of schema.py, and the values that it binds: times in ms, timestamps in µs."""

    statement: str
    values: Sequence[Any]


Request = Sequence[Call]
"""One call; or several writes sent as one batch without a log, each with the timestamp that its statement names."""


def calls_of(device_id: str, state: State) -> list[Call]:
    """What must be written so that the device's row contains the state, and the ledger its erase."""
    if not state.erased:
        return _registration(device_id, state)
    return [
        Call(schema.REMEMBER_ERASE, (device_id, state.erased, state.erased)),
        Call(schema.ERASE, (state.erased, device_id)),
        *(_registration(device_id, state) if state.version else _no_minima(device_id, state.erased)),
    ]


def state_of_row(row: Sequence[Any] | None, erased: int) -> State:
    """The state that a row (schema.READ, without the id) and the device's highest erase (0: none) stand for."""
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


@lru_cache(_KEPT_MAPS)
def _map(text: str) -> Any:
    return msgspec.json.decode(text)


def _registration(device_id: str, state: State) -> list[Call]:
    live = state.version
    older = {written_at for written_at, _ in state.registers if written_at != live}
    writes = [_facets_at(version, device_id, state) for version in sorted(older) if version]
    writes.append(_facets_at(live, device_id, state))
    if state.first_access:
        writes.append(Call(schema.FIRST_ACCESS, (_stamp(state.first_access, state.erased), state.first_access, device_id)))
    if state.user_declared_on and (state.erased or state.registers[DECLARED][0]):
        stamp = _stamp(state.user_declared_on, state.erased)
        writes.append(Call(schema.USER_DECLARED_ON, (stamp, state.user_declared_on, device_id)))
    return writes


def _no_minima(device_id: str, erased: int) -> list[Call]:
    stamp = _MINIMUM + 2 * erased
    return [Call(schema.FIRST_ACCESS, (stamp, None, device_id)), Call(schema.USER_DECLARED_ON, (stamp, None, device_id))]


def _facets_at(version: int, device_id: str, state: State) -> Call:
    facets = 0
    values: list[Any] = [device_id]
    for spot, (written_at, of_facet) in enumerate(state.registers):
        if written_at == version:
            facets |= 1 << spot
            values += [of_facet[0] and _map(of_facet[0])] if spot in _MAP_FACETS else of_facet
    is_live = version == state.version
    if is_live:
        values += state.api_last_updated_on, version // 1000
    values.append(version)
    return Call(schema.write(facets, is_live=is_live), values)


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
