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
from devicesync.clock import SYSTEM, Clock
from devicesync.database.port import Database, Stored
from devicesync.errors import Unavailable
from devicesync.few import MUCH_BYTES, few_at_once
from devicesync.law.state import NOTHING, State, join
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.stores_plan import are_tied, left_of, met_in_the_database, plan_of

_ROUNDS = 50
_NAMED = 10
_HINT = "it needs more memory, or another program writes its entries; see `devicesync doctor`"
_log: Any = structlog.get_logger("devicesync")


class Stores(NamedTuple):
    """The two stores. Every method may raise Unavailable. Then any part may have been written; repeating is harmless.

    max_clock_ahead_ms: how far past `clock` the version of an event may lie.
    """

    cache: Cache
    database: Database
    clock: Clock = SYSTEM
    max_clock_ahead_ms: int = DEFAULT_MAX_CLOCK_AHEAD_MS

    def look(self, device_ids: Collection[str]) -> Looked:
        """Return what the cache holds, as Cache.look does, without the entries that no event can have made. Those it drops.

        Another program made an entry whose version lies too far ahead of the clock if the database, which is written first,
        lacks that version. It would win over every event until then, and with a repair it would go into the database.
        """
        looked = self.cache.look(device_ids)
        if self.cache.is_private:
            return looked
        latest_us = self.clock.now_us() + self.max_clock_ahead_ms * 1000
        ahead = [name for name, held in looked.held.items() if held.version > latest_us or held.erased > latest_us]
        if not ahead:
            return looked
        stored, unread = _read(self.database.look, ahead)
        forged = [name for name in ahead if name not in unread and _is_behind(stored, name, looked.held[name])]
        self.cache.forget(forged)
        return looked.renewed(self.cache.look(forged), forged)

    def write(self, changes: Mapping[str, State]) -> int:
        """Join changes into both stores. Return when both have them: how many were not newer than the cache's entry."""
        looked = self.look(changes)
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
        return self._write(changes, self.look(changes)._replace(held={}))

    def _restore(self, states: Mapping[str, State]) -> set[str]:
        looked = self.look(states)
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
        new, entries, doubtful = plan_of(changes, looked, stored)
        whole = {device_id: entries[device_id] for device_id in met_in_the_database(changes, stored, entries)}
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
            left_of_part = left_of(part, found)
            if left_of_part != part or device_id in stored.unsettled or are_tied(part, found):
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
        looked = self.look(changes)
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


def _is_behind(stored: Stored, device_id: str, held: State) -> bool:
    return stored.states.get(device_id, NOTHING).profile_version < held.profile_version


def _lost_too_fast() -> Unavailable:
    return Unavailable("the cache loses devices faster than they are filled", _HINT)
