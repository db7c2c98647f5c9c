"""What is new to one who knows something already, and what two who do not know of each other can't put together.

A store whose writers do not read keeps the newest of each facet and the least of each minimum by itself. Here stands what its
writers must look after.
"""

from devicesync.law.facets import DECLARED, SEVERAL_FIELDS
from devicesync.law.state import UNWRITTEN, Register, State


def met(before: State, change: State, after: State) -> bool:
    """Whether `after`, the join of the others, has what a store without this join can't make of writing both.

    An erase met what came after it, and one of the two was not known to the other's writer. Or two of one version met in a facet
    of several fields; or they left a facet without any value, now or before: its version is known, and keeps older values away.
    Else, in a facet of one field, the store itself joins both: it keeps the greater text, and of two maps all entries.
    """
    if not after.version:
        return False
    if after.erased > min(before.erased, change.erased):
        return True
    return any(
        (spot in SEVERAL_FIELDS and mine[0] == theirs[0] and theirs != left)
        or _is_emptied(mine)
        or _is_emptied(theirs)
        or _is_emptied(left)
        for spot, (mine, theirs, left) in enumerate(zip(before.registers, change.registers, after.registers, strict=True))
    )


def news(change: State, known: State) -> State | None:
    """What must still be written by one who knows `known` has been written; None for nothing.

    known: as a store has it. A facet of which only the version is known has no values at all: `()`.

    A facet older than the known one is left out: written once more, its empty fields would show again where the store has
    dropped their deletion. A minimum that is no smaller is left out too, and api_last_updated_on when it is not the newest
    (0). Of a device once erased the erase is added. What is of one version with the known is written again: whoever wrote it may
    have died in the middle. A tie that leaves nothing declared hides user_declared_on, and a store must remember the least one
    beside: so it is told with the tie.
    """
    erased = max(change.erased, known.erased)
    erases = 0 < change.erased >= known.erased
    if change.version <= erased:
        return State(erased=change.erased) if erases else None
    registers = tuple(
        [
            mine if mine[0] >= theirs[0] and mine[0] > erased and mine != theirs else unwritten
            for mine, theirs, unwritten in zip(change.registers, known.registers, UNWRITTEN, strict=True)
        ]
    )
    first_access = _if_earlier(change.first_access, known.first_access)
    user_declared_on = _if_earlier(change.user_declared_on, known.user_declared_on)
    if not user_declared_on and _is_emptied(registers[DECLARED]):
        user_declared_on = known.user_declared_on
    adds_a_minimum = bool(first_access or user_declared_on) and not erased
    if change.version < known.version and not erases and registers == UNWRITTEN and not adds_a_minimum:
        return None
    if erased:
        first_access = user_declared_on = erased // 1000
    updated_on = change.api_last_updated_on if change.version >= known.version else 0
    if change.version == known.version:
        updated_on = max(updated_on, known.api_last_updated_on)
    return State(change.version, erased, updated_on, first_access, user_declared_on, registers)


def _is_emptied(register: Register) -> bool:
    return register[0] > 0 and not any(register[1])


def _if_earlier(one_ms: int, known_ms: int) -> int:
    return one_ms if not known_ms or one_ms < known_ms else 0
