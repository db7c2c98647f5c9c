"""From a row and the ledger back to the state that they stand for. Pure, so that every driver shares it."""

from collections.abc import Mapping, Sequence
from typing import Any

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.erasure import Erasure
from devicesync.database.cassandra.stamps import LONGEST_AGO, OURS, minimum_of, moment_of, stamp_of
from devicesync.law.facets import DECLARED, FIELDS, MAPS, SLICES
from devicesync.law.state import UNWRITTEN, Register, State, join
from devicesync.law.values import TIME_LIMIT_MS
from devicesync.law.version import LATEST_US

_MAP_PLACES = tuple(SLICES[spot].start for spot in MAPS)


def state_of_row(row: Sequence[Any] | None, erasure: Erasure, dialect: schema.Dialect) -> tuple[State, bool]:
    """The state that a row (schema.read, without the id) and the ledger stand for, and whether the row shows it."""
    erase = State(erased=erasure.version)
    if row is None:
        return erase, True
    updated_on, first_access, declared_on, updated_date, written_at, first_at, declared_at, date_at, *rest = row
    updated_at = moment_of(written_at)
    values, times = rest[: len(FIELDS)], [moment_of(time) for time in rest[len(FIELDS) :]]
    dated = dialect.reads_columns and _date_maps(values, times, (updated_at, first_at, declared_at, moment_of(date_at)))
    written = [_register(values[where], times[where], unwritten) for where, unwritten in zip(SLICES, UNWRITTEN, strict=True)]
    is_time = 0 <= (updated_on or 0) < TIME_LIMIT_MS
    # Of two values of one timestamp Cassandra keeps the greater. So what is no time counts as of 1 µs later, and can be settled.
    version = max(min((updated_at or 0) + (not is_time), LATEST_US), *(register[0] for register in written))
    if not version:
        return erase, not erasure.version or (first_access is None and declared_on is None)
    registers = tuple([_emptied(spot, register, erasure) for spot, register in enumerate(written)])
    since, hidden = _clamped(declared_on, declared_at), erasure.user_declared_on
    if not registers[DECLARED][0] and (declared_at or 0) < OURS:
        since = 0  # another job's: nothing is declared. Ours stays: a tie, not yet in the ledger, emptied what was declared
    state = State(
        version,
        0,
        (is_time and updated_on) or version // 1000,
        _clamped(first_access, first_at),
        min(since or hidden, hidden or since),
        registers,
    )
    state = join(state, erase) if erase.erased else state
    has_too_many = any(isinstance(values[place], Mapping) for place in _MAP_PLACES)  # see driver.Rows
    is_marked = all(erasure.knows(spot, *registers[spot]) for spot in MAPS)
    times_shown = (updated_on, first_access, declared_on, updated_date, updated_at, first_at, declared_at)
    return state, not dated and not has_too_many and is_marked and _shows(times_shown, written, state)


def _shows(times: Sequence[int | None], written: Sequence[Register], state: State) -> bool:
    updated_on, first_access, declared_on, updated_date, updated_at, first_at, declared_at = times
    if not state.version or any(0 < register[0] <= state.erased for register in written):
        return False
    is_declared = any(state.registers[DECLARED][1])
    floor = (
        stamp_of(0, state.erased, 0) if state.erased else OURS
    )  # a minimum of before may be just the erase's, and goes with it
    return (
        (updated_on, updated_at) == (state.api_last_updated_on, state.version)
        and (updated_date or 0) >= state.version // 1000  # a later one stays: of two equal timestamps the greater value wins
        and first_access == (state.first_access or None)
        and declared_on == ((state.user_declared_on or None) if is_declared else None)
        and all(stamp is None or stamp > floor for stamp in (first_at, declared_at))
        and all(any(mine[1]) == any(theirs[1]) for mine, theirs in zip(written, state.registers, strict=True))
    )


def _date_maps(values: Sequence[Any], times: list[Any], others: Sequence[int | None]) -> bool:
    """A map without a version was written by another job: it counts as of the row's other cells. In place; whether there is one.

    Its version must then be written before anything else is: else the map would count as of that.
    """
    own = [time for time in (*times, *others) if time and time < OURS]
    undated = [spot for spot, (value, time) in enumerate(zip(values, times, strict=True)) if value and not time]
    for spot in undated:
        times[spot] = max(own, default=LONGEST_AGO)
    return bool(undated)


def _clamped(value_ms: int | None, written_at: int | None) -> int:
    """What a minimum of the row counts as: no value when it lies before 1970, and not later than another job's clock."""
    value = minimum_of(value_ms)
    return min(value, max(written_at, 0) // 1000) if written_at is not None and written_at < OURS else value


def _emptied(spot: int, register: Register, erasure: Erasure) -> Register:
    ties = erasure.ties[spot]
    at = max((version for version in ties if version > erasure.version), default=0) if ties else 0
    if erasure.long_maps[spot] and erasure.has_several(spot, register[0], register[1][0]):
        at = max(at, register[0])
    return (at, UNWRITTEN[spot][1]) if at and at >= register[0] else register


def _register(values: Sequence[Any], times: Sequence[int | None], unwritten: Register) -> Register:
    version = max((time for time in times if time), default=0)
    if not version:
        return unwritten
    return version, tuple([value if isinstance(value, str) and value else None for value in values])
