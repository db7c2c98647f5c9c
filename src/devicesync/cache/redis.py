"""Redis or Valkey: the hash that telemetry jobs read, merged by a script that runs in the server.

The fields are those of docs/reading-the-cache.md; state.lua says what else a hash holds. Whole batches go in few round trips,
cut so that one script does not keep the server from its readers for long.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from redis import exceptions

from devicesync.cache.port import NO_TICKETS, UNKNOWN, Advice, Looked, Merged
from devicesync.cache.redis_advice import SETTINGS, advice_on
from devicesync.cache.redis_connect import Client, Connections, hint_for
from devicesync.cache.redis_hash import seen_in, state_of, versions
from devicesync.cache.redis_scripts import EXPIRING, LATER, LOOK, MERGE, NAMES, READ, SCAN, by_bytes, packed
from devicesync.errors import Unavailable
from devicesync.law.event import NOBODY, check_id
from devicesync.law.refusal import Refused
from devicesync.law.seen import Seen
from devicesync.law.state import State

_DEVICES_PER_CALL = 100
_TICKET_MS, _MOST_TICKETS = 60_000, 65_536
_TICKET_DIGITS = 12  # two of one device must differ; it is kept in every entry
_OF_NOTHING = "none"  # a ticket that is valid for no entry: theirs are hexadecimal
_FAILURES = (exceptions.RedisError, exceptions.RedisClusterException)
_SHOWN = {None: "", True: "yes", False: "no"}


class RedisCache:
    """See port.Cache.

    tombstone_ttl_seconds, profile_ttl_seconds: how long an erased device's tombstone and a profile are kept; 0 for ever.
    A tombstone that is gone is no danger: the next event of the device is filled from the database, which knows the erase.
    """

    is_private = False

    def __init__(self, connections: Connections, *, tombstone_ttl_seconds: float, profile_ttl_seconds: float) -> None:
        self._connections = connections
        self._times_to_live_ms = (int(profile_ttl_seconds * 1000), int(tombstone_ttl_seconds * 1000))
        self._shas: dict[str, str] = {}

    def look(self, device_ids: Collection[str]) -> Looked:
        """See port.Cache. Entries whose `_state` another program wrote are dropped."""
        looked, foreign = self._look(device_ids)
        if not foreign:
            return looked
        self.forget(foreign)
        again, still = self._look(foreign)
        again.tickets.update(dict.fromkeys(still, _OF_NOTHING))
        return looked.renewed(again, foreign)

    def _look(self, device_ids: Collection[str]) -> tuple[Looked, list[str]]:
        """What the cache holds, and the devices whose `_state` another program wrote."""
        head = (uuid.uuid4().hex[:_TICKET_DIGITS], _TICKET_MS, _MOST_TICKETS)
        looked = Looked({}, {}, [])
        foreign = []
        with self._failures("write to"):
            for device_id, reply in self._run(LOOK, head, dict.fromkeys(device_ids)):
                if reply[0] == "?":
                    looked.tickets[device_id] = reply[1:]
                    continue
                state, is_unsettled, ticket = reply.rsplit(",", 2)
                try:
                    looked.held[device_id] = versions(state)
                except ValueError:
                    foreign.append(device_id)
                    continue
                looked.tickets[device_id] = ticket
                if is_unsettled == "1":
                    looked.unsettled.append(device_id)
        return looked, foreign

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        """See port.Cache."""
        merged = Merged([], [])
        with self._failures("write to"):
            of_all = {
                device_id: packed(change, tickets.get(device_id, ""), _SHOWN[shown.get(device_id)])
                for device_id, change in changes.items()
            }
            for device_id, reply in self._run(MERGE, self._times_to_live_ms, of_all):
                if reply is None:
                    merged.missing.append(device_id)
                elif reply:
                    merged.unsettled.append(device_id)
        return merged

    def forget(self, device_ids: Collection[str]) -> None:
        """See port.Cache."""
        with self._failures("write to"):
            for client, groups in self._connections.shards([*device_ids], _DEVICES_PER_CALL):
                for group in groups:
                    client.delete(*group)

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Cache."""
        states: dict[str, State] = {}
        foreign = []
        for device_id, found in self._hashes(device_ids):
            if "_state" in found:
                try:
                    states[device_id] = state_of(found)
                except (ValueError, msgspec.MsgspecError):
                    foreign.append(device_id)
        if foreign:
            self.forget(foreign)
        return states

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Cache."""
        of_all = {device_id: seen_in(found) for device_id, found in self._hashes(device_ids)}
        return {device_id: seen for device_id, seen in of_all.items() if seen}

    def scan(self) -> Iterator[list[str]]:
        """See port.Cache. Names that the law gives to no device are other programs', or our own."""
        with self._failures("read"):
            for client in self._connections.clients():
                cursor = ""
                while cursor != "0":
                    ((cursor, names),) = self._call(client, SCAN, [(0, cursor or "0")])
                    yield [name for name in names if _is_id(name)]

    def replace(self, states: Mapping[str, State], marks: Mapping[str, str], shown: Mapping[str, bool] = UNKNOWN) -> list[str]:
        """See port.Cache."""
        ticket = uuid.uuid4().hex[:_TICKET_DIGITS]
        with self._failures("write to"):
            of_all = {
                device_id: packed(state, "", _SHOWN[shown.get(device_id)], marks[device_id], ticket)
                for device_id, state in states.items()
            }
            replies = self._run(MERGE, self._times_to_live_ms, of_all)
            return [device_id for device_id, reply in replies if reply is not None]

    def expiring(self, device_ids: Sequence[str]) -> list[str]:
        """See port.Cache."""
        with self._failures("read"):
            replies = self._run(EXPIRING, self._times_to_live_ms, dict.fromkeys(device_ids))
            return [device_id for device_id, reply in replies if reply]

    def time_left_ms(self, device_id: str) -> int | None:
        """See port.Cache."""
        with self._failures("read"):
            ((client, _),) = self._connections.shards([device_id], 1)
            left_ms = client.pttl(device_id)
            return left_ms if left_ms >= 0 else None

    def check(self) -> None:
        """See port.Cache."""
        with self._failures("reach"):
            self._connections.ping()
        self.read([NOBODY])  # which a user may lack the right for

    def advice(self) -> list[Advice]:
        """See port.Cache. Silent where this user may not read the server's settings."""
        with suppress(Unavailable), self._failures("read the settings of"):
            return list(advice_on(self._connections.settings(SETTINGS)))
        return []

    def close(self) -> None:
        """See port.Cache."""
        self._connections.close()

    def _hashes(self, device_ids: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """The devices of which there is a hash, with the fields that are ours; what is no text where these are too large."""
        with self._failures("read"):
            for device_id, values in self._run(READ, (), dict.fromkeys(device_ids)):
                if values and (found := {name: value for name, value in zip(NAMES, values, strict=True) if value is not None}):
                    yield device_id, found

    def _run(self, script: str, head: tuple[Any, ...], arguments: Mapping[str, bytes | None]) -> Iterator[tuple[str, Any]]:
        """Devices and what the script replies to each.

        arguments: by device what the script gets for it; None for nothing.
        """
        later = []
        for client, groups in self._connections.shards([*arguments], _DEVICES_PER_CALL):
            for device_id, reply in self._replies(client, groups, script, (*head, ""), arguments):
                if reply == LATER:
                    later.append(device_id)
                else:
                    yield device_id, reply
        for device_id in later:  # one by one: the server answers others in between
            for client, groups in self._connections.shards([device_id], 1):
                yield from self._replies(client, groups, script, (*head, "1"), arguments)

    def _replies(
        self,
        client: Client,
        groups: Sequence[list[str]],
        script: str,
        head: tuple[Any, ...],
        arguments: Mapping[str, bytes | None],
    ) -> Iterator[tuple[str, Any]]:
        cut = [ids for group in groups for ids in by_bytes(group, arguments)]
        calls = []
        for ids in cut:
            given = [argument for device_id in ids if (argument := arguments[device_id]) is not None]
            calls.append((len(ids) + 1, *ids, self._connections.beside(ids[0]), *head, *given))
        replies = self._call(client, script, calls)
        for ids, of_call in zip(cut, replies, strict=True):
            yield from zip(ids, of_call or [None] * len(ids), strict=True)

    def _call(self, client: Client, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the script replies to each call. A server that restarted has forgotten the script and is told again."""
        try:
            return self._call_once(client, script, calls)
        except exceptions.NoScriptError:
            self._shas.pop(script, None)
            return self._call_once(client, script, calls)

    def _call_once(self, client: Client, script: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        sha = self._shas.get(script)
        if sha is None:
            sha = self._shas[script] = str(client.script_load(script))
        pipeline = client.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(sha, *call)
        return list(pipeline.execute())

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except _FAILURES as error:
            with suppress(*_FAILURES):  # every node of a Cluster may be away
                self._connections.refresh()
            raise Unavailable(f"can't {what} the cache: {error}", hint_for(error)) from error


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except Refused:
        return False
    return True
