"""Cache and database as one: every change goes into the database, then into the cache.

So the cache never holds what the database lacks, and losing any part of it at any time loses nothing. Three rules keep the two
equal, whatever is interleaved, lost or repeated:

1. Look first. What the cache or the database knows already is not written again (law.news).
2. A fill is kept only if the entry was missing all the time since `look`. A change is joined only into the entry that `look`
   saw. An entry that was filled since is looked at again (cache.port).
3. When two writers did not know of each other's events, the joined state is written to the database whole (`settle`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from devicesync.cache.port import Cache, Looked
from devicesync.database.port import Database, Stored
from devicesync.errors import Unavailable
from devicesync.few import MUCH_BYTES, few_at_once
from devicesync.law.facets import EMPTIED_BY_TIES
from devicesync.law.news import met, news
from devicesync.law.state import NOTHING, UNWRITTEN, State, join

_ROUNDS = 50
_NAMED = 10
_HINT = "it needs more memory, or another program writes its entries; see `devicesync doctor`"
_log: Any = structlog.get_logger("devicesync")


class Stores(NamedTuple):
    """The two stores. Every method may raise Unavailable. Then any part may have been written; repeating is harmless."""

    cache: Cache
    database: Database

    def write(self, changes: Mapping[str, State]) -> int:
        """Join changes into both stores. Return when both have them: how many were not newer than the cache's entry."""
        looked = self.cache.look(changes)
        left = self._write(changes, looked)
        _until_none_is_left(self._change_again, {device_id: changes[device_id] for device_id in left})
        return sum(changes[device_id].profile_version <= held.profile_version for device_id, held in looked.held.items())

    def restore(self, states: Mapping[str, State]) -> None:
        """Join states into both stores. What only the cache still holds is written into the database too."""
        _until_none_is_left(self._restore, states)

    def read(self, device_id: str, *, anew: bool = False) -> State:
        """What the cache holds. On a miss, or `anew`, what the database holds, which the cache has then too.

        The state is returned only after the cache has taken the fill. So a later reader never sees an older state.
        """
        for _ in range(_ROUNDS):
            held = None if anew else self.cache.read([device_id]).get(device_id)
            if held is not None:
                return held
            looked = self.cache.look([device_id])
            if looked.held and not anew:
                continue
            stored = self.database.look([device_id])
            if not self.cache.merge(stored.states, looked.tickets, dict.fromkeys(stored.unsettled, False)).missing:
                return stored.states.get(device_id, NOTHING)
        raise _lost_too_fast()

    def refill(self, device_ids: Collection[str]) -> None:
        """Join what the database holds of these devices into the cache, then settle the unsettled rows."""
        _until_none_is_left(self._refill, dict.fromkeys(device_ids, NOTHING))

    def close(self) -> None:
        """Give back connections."""
        self.cache.close()
        self.database.close()

    def _change_again(self, changes: Mapping[str, State]) -> set[str]:
        # What was settled meanwhile may hide in the row what the cache holds now. So the row is looked at.
        return self._write(changes, self.cache.look(changes)._replace(held={}))

    def _restore(self, states: Mapping[str, State]) -> set[str]:
        looked = self.cache.look(states)
        held, left = _read(lambda few: Stored(self.cache.read(few), []), looked.held)
        changes = {name: join(state, held.states.get(name, NOTHING)) for name, state in states.items() if name not in left}
        return self._write(changes, looked._replace(held={})) | left

    def _write(self, changes: Mapping[str, State], looked: Looked) -> set[str]:
        """Write once; the devices that are left to do. Of those that `looked` does not hold the database is asked."""
        if self.database.merges_in_place:
            joined = self.database.merge(changes)
            return {*self.cache.merge(joined, looked.tickets).missing} | (changes.keys() - joined.keys())
        if looked.unsettled:  # what another job wrote into the row must be dated with this write: nobody can tell after it
            looked = looked._replace(held={name: state for name, state in looked.held.items() if name not in looked.unsettled})
        stored, left = _read(self.database.look, [device_id for device_id in changes if device_id not in looked.held])
        changes = {device_id: change for device_id, change in changes.items() if device_id not in left} if left else changes
        new, entries, doubtful = _plan(changes, looked, stored)
        whole = {device_id: entries[device_id] for device_id in _met_in_the_database(changes, stored, entries)}
        self.database.merge(new | whole)
        if doubtful:
            emptied, unread = self._emptied({device_id: new[device_id] for device_id in doubtful})
            left |= unread
            whole |= emptied
            for device_id in unread:
                del entries[device_id]
        merged = self.cache.merge(entries | whole, looked.tickets, dict.fromkeys(whole, False))
        missing = {*merged.missing} | left
        return missing | self._settle({*looked.unsettled, *merged.unsettled} - missing, looked.tickets)

    def _emptied(self, parts: Mapping[str, State]) -> tuple[dict[str, State], set[str]]:
        """Return the whole state of each device of which a tie in the database took something that was just written.

        Beside them, the devices of which the database was not asked.

        Two events of one version can meet in the database alone. What is then left of the facet is a deletion, whose version
        no reader sees. So a facet that is new, and yet not newer than the device, is read back.
        """
        stored, left = _read(self.database.look, parts)
        whole = {}
        for device_id, part in parts.items():
            if device_id in left:
                continue
            found = stored.states.get(device_id, NOTHING)
            left_of_part = _left_of(part, found)
            if left_of_part != part or device_id in stored.unsettled or _ties(part, found):
                whole[device_id] = join(found, left_of_part)
        return whole, left

    def _settle(self, device_ids: set[str], tickets: Mapping[str, str]) -> set[str]:
        missing = {*device_ids}
        for few in few_at_once(sorted(device_ids)):
            states = self.cache.read(few)
            self.database.settle(states)
            merged = self.cache.merge(states, tickets, dict.fromkeys(states, True))
            missing = (missing - states.keys()) | {*merged.missing, *merged.unsettled}
        return missing

    def _refill(self, changes: Mapping[str, State]) -> set[str]:
        looked = self.cache.look(changes)
        stored, left = _read(self.database.look, changes)
        merged = self.cache.merge(stored.states, looked.tickets, dict.fromkeys(stored.unsettled, False))
        missing = {*merged.missing} | left
        if self.database.merges_in_place:
            return missing
        return missing | self._settle({*looked.unsettled, *merged.unsettled} - missing, looked.tickets)


def _until_none_is_left(attempt: Callable[[Mapping[str, State]], set[str]], changes: Mapping[str, State]) -> None:
    """Call `attempt` again and again with the devices that it returns.

    The cache lost them in the middle of it, or all their texts were too large for one attempt. What the cache never keeps stops
    nobody: it is named. The database has it then. Nor does the cache hold anything older, for its tickets are newer than that.
    """
    left, in_vain = changes, 0
    while left and in_vain < _ROUNDS:
        missing = attempt(left)
        in_vain += len(missing) == len(left)
        left = {device_id: change for device_id, change in left.items() if device_id in missing} if missing else {}
    # Alone, so that the database is asked of each; twice, so that the second look comes after the first write.
    lost = [name for name, change in left.items() if all(attempt({name: change}) for _ in range(2))]
    if lost:
        _log.error("the cache does not keep devices that it is filled with", devices=lost[:_NAMED], count=len(lost), hint=_HINT)


def _read(read: Callable[[Sequence[str]], Stored], device_ids: Iterable[str]) -> tuple[Stored, set[str]]:
    """What a store holds of these devices, and those of which it was not asked, since the others' texts are large."""
    found, left, size = Stored({}, []), set[str](), 0
    for few in few_at_once(device_ids):
        if size >= MUCH_BYTES:
            left.update(few)
            continue
        stored = read(few)
        found.states.update(stored.states)
        found.unsettled.extend(stored.unsettled)
        size += sum(state.text_bytes for state in stored.states.values())
    return found, left


def _lost_too_fast() -> Unavailable:
    return Unavailable("the cache loses devices faster than they are filled", _HINT)


class _Plan(NamedTuple):
    """Of some changes, by device: what is new, and what the cache must join; and the devices that `_emptied` checks.

    The cache must join all of a device that was read; else the change, and the erase that its writer knew.
    """

    new: dict[str, State]
    entries: dict[str, State]
    doubtful: list[str]


def _plan(changes: Mapping[str, State], looked: Looked, stored: Stored) -> _Plan:
    plan = _Plan({}, {}, [])
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


def _met_in_the_database(changes: Mapping[str, State], stored: Stored, entries: Mapping[str, State]) -> set[str]:
    """Return the devices whose row, written without reading it, would not become the join of the row and the change."""
    return {
        device_id
        for device_id, state in stored.states.items()
        if met(state, _told(changes[device_id], state), entries[device_id])
    } | {*stored.unsettled}


def _may_have_met(part: State, known: State) -> bool:
    return any(known.registers[spot][0] < part.registers[spot][0] <= known.version for spot in EMPTIED_BY_TIES)


def _ties(part: State, found: State) -> bool:
    """Whether the database shows other content of a version that was just written: that of a tie."""
    pairs = zip(part.registers, found.registers, strict=True)
    return any(mine[0] and mine[0] == theirs[0] and mine != theirs for mine, theirs in pairs)


def _left_of(part: State, found: State) -> State:
    """Return the part without the values that the database lost: nothing newer hides them, and yet it does not show them."""
    registers = [
        (mine[0], unwritten[1]) if spot in EMPTIED_BY_TIES and mine[0] > max(theirs[0], found.erased) else mine
        for spot, (mine, theirs, unwritten) in enumerate(zip(part.registers, found.registers, UNWRITTEN, strict=True))
    ]
    return part._replace(registers=tuple(registers))
