"""What differs is mended: by the law where one store knows more, and where both say the same version the database is right."""

from collections.abc import Mapping, Sequence

from devicesync.clock import SYSTEM, Clock
from devicesync.law.state import NOTHING, State
from devicesync.stores import Stores


def repair(device_ids: Sequence[str], stores: Stores, clock: Clock = SYSTEM) -> None:
    """Mend these devices in both stores. Raises Unavailable; repeating is harmless.

    What the cache alone knows is joined into the database. All else in the cache is replaced by what the database knows, each
    entry atomically, and only if nothing was joined into it meanwhile. An entry that is none of ours, of a device that the
    database does not know, is dropped.
    """
    stores.look(device_ids)  # what no event made is none of what the cache alone knows
    marks = {device_id: seen.mark for device_id, seen in stores.cache.seen(device_ids).items()}
    held = stores.cache.read(device_ids)
    stored = stores.database.look(device_ids)
    ahead = {device_id: state for device_id, state in held.items() if _knows_more(state, stored.states.get(device_id, NOTHING))}
    if ahead:
        _bring_back(ahead, stores, clock)
    behind = {device_id: state for device_id, state in stored.states.items() if marks.get(device_id) and device_id not in ahead}
    stores.cache.replace(behind, marks, dict.fromkeys(stored.unsettled, False))
    unknown = marks.keys() - stored.states.keys() - ahead.keys()
    stores.cache.forget(unknown)
    stores.refill([device_id for device_id in device_ids if device_id not in unknown])


def _knows_more(state: State, stored: State) -> bool:
    return state.profile_version > stored.profile_version or state.erased > stored.erased


def _bring_back(ahead: Mapping[str, State], stores: Stores, clock: Clock) -> None:
    stores.restore(ahead)
    stored = stores.database.read([*ahead])
    # Somebody deleted the row by hand: Cassandra then hides whatever is older than that. So it is registered anew, as of now.
    hidden = {device_id: state for device_id, state in ahead.items() if _knows_more(state, stored.get(device_id, NOTHING))}
    if hidden:
        stores.restore({device_id: _anew(state, clock.now_us()) for device_id, state in hidden.items()})


def _anew(state: State, version: int) -> State:
    """The same profile, registered at this version; an erase stays what it is."""
    if not state.version:
        return state
    registers = tuple([(version if at else 0, values) for at, values in state.registers])
    return state._replace(version=version, registers=registers)
