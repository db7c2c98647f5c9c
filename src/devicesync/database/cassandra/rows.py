"""From states to timed writes (stamps.py). Pure, so that every driver shares it."""

from functools import lru_cache
from typing import Any

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.call import Call
from devicesync.database.cassandra.erasure import Erasure, mark_of
from devicesync.database.cassandra.stamps import OURS, stamp_of
from devicesync.law import maps
from devicesync.law.facets import DECLARED, MAPS
from devicesync.law.state import State

_KEPT_MAPS, _KEPT_MAP_BYTES = 1024, 1024


def erase_of(device_id: str, state: State) -> list[Call]:
    """What the ledger must be told of the state's erase. It comes before the row, for a row is read before the ledger."""
    if not state.erased:
        return []
    return [
        Call(schema.REMEMBER_ERASE, (device_id, state.erased, state.erased)),
        Call(schema.HIDDEN_DECLARED_ON, (stamp_of(0, state.erased, 0), None, device_id)),
        Call(schema.FORGET_LONG, (state.erased, device_id)),
    ]


def ties_of(device_id: str, state: State) -> list[Call]:
    """What the ledger must be told of ties and long maps. It comes after the row: an older row would show them as its own."""
    calls = []
    for spot, statement in schema.REMEMBER_TIES.items():
        version, values = state.registers[spot]
        if spot in MAPS and values[0] and maps.is_long(values[0]):
            calls.append(Call(schema.REMEMBER_LONG[spot], (version, {mark_of(version, values[0])}, device_id)))
        if is_emptied(state, spot):
            calls.append(Call(statement, (version, {version}, device_id)))
            if spot == DECLARED and not state.erased:
                stamp = stamp_of(state.user_declared_on, 0, 1)
                calls.append(Call(schema.HIDDEN_DECLARED_ON, (stamp, state.user_declared_on, device_id)))
    return calls


def is_emptied(state: State, spot: int) -> bool:
    """Whether a tie emptied this facet."""
    version, values = state.registers[spot]
    return version > 0 and not any(values)


def forgotten_of(device_id: str, erasure: Erasure) -> list[Call]:
    """What the ledger must forget: the ties beyond its bound."""
    return [Call(schema.FORGET_TIES, (erasure.forgettable, device_id))] if erasure.forgettable else []


def row_of(device_id: str, change: State, dialect: schema.Dialect) -> list[Call]:
    """What must be written so that the device's row contains the change."""
    erased = change.erased
    calls = [Call(schema.ERASE, (erased, device_id))] if erased else []
    if change.version:
        calls += _facets(device_id, change, dialect) + _emptied_maps(device_id, change)
    is_declared = bool(change.user_declared_on) and bool(not erased or change.registers[DECLARED][0])
    for statement, value_ms in (
        (schema.FIRST_ACCESS, change.first_access if change.version else 0),
        (schema.USER_DECLARED_ON, change.user_declared_on if is_declared else 0),
    ):
        if value_ms:
            calls.append(Call(statement, (stamp_of(value_ms, erased, 1), value_ms, device_id)))
        elif erased:
            calls.append(Call(statement, (stamp_of(0, erased, 0), None, device_id)))
    return calls


def settled_row_of(device_id: str, state: State, erasure: Erasure, dialect: schema.Dialect) -> list[Call]:
    """What must be written so that the device's row shows the state, which contains all that the row and the ledger know."""
    calls = row_of(device_id, state, dialect)
    if not state.version:
        return calls
    declared_at, declared = state.registers[DECLARED]
    known = erasure.ties[DECLARED] | ({declared_at} if declared_at and not any(declared) else set())
    ties = sum(state.erased < version <= declared_at for version in known)
    if ties:
        shown = declared_at not in known
        stamp = stamp_of(state.user_declared_on, state.erased, 2 * ties + shown)
        calls.append(Call(schema.USER_DECLARED_ON, (stamp, state.user_declared_on if shown else None, device_id)))
    for statement, value_ms in ((schema.FIRST_ACCESS, state.first_access), (schema.USER_DECLARED_ON, state.user_declared_on)):
        if not value_ms:
            calls.append(Call(statement, (OURS, None, device_id)))
    return calls


_kept_map = lru_cache(_KEPT_MAPS)(maps.entries_of)


def _map(text: str) -> dict[str, str]:
    return _kept_map(text) if len(text) <= _KEPT_MAP_BYTES else maps.entries_of(text)


def _facets(device_id: str, state: State, dialect: schema.Dialect) -> list[Call]:
    versions = {register[0] for register in state.registers}
    versions.discard(0)
    if state.api_last_updated_on:
        versions.add(state.version)
    return [_facets_at(version, device_id, state, dialect) for version in sorted(versions)]


def _emptied_maps(device_id: str, state: State) -> list[Call]:
    registers = ((spot, state.registers[spot]) for spot in MAPS)
    return [Call(schema.EMPTY_MAP[spot], (at, device_id)) for spot, (at, values) in registers if at and not any(values)]


def _facets_at(version: int, device_id: str, state: State, dialect: schema.Dialect) -> Call:
    facets = 0
    values: list[Any] = [device_id]
    for spot, (written_at, of_facet) in enumerate(state.registers):
        if written_at == version:
            facets |= 1 << spot
            if spot not in MAPS:
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
