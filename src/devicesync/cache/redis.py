"""Redis or Valkey: the hash that telemetry jobs read, merged by a script that runs in the server.

The fields are those of design.md section 3; merge.lua says what else a hash holds. Whole batches go in few round trips,
cut so that one script does not keep the server from its readers for long.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import resources
from typing import Any

import msgspec
from redis import exceptions

from devicesync.cache.port import Advice, Merged
from devicesync.cache.redis_connect import Client, Connections
from devicesync.errors import Unavailable
from devicesync.law.facets import FACETS
from devicesync.law.state import State, join

HASH_NAMES = {"device_spec": "devicespec", "producer_id": "producer"}
"""Event fields whose hash field has another name; times are `firstaccess`, `user_declared_on`, `api_last_updated_on`."""

_DEVICES_PER_CALL = 100
_LISTPACK_BYTES = 512
_MERGE, _SAVED = (resources.files("devicesync.cache").joinpath(f"{name}.lua").read_text() for name in ("merge", "saved"))
_FIELDS = tuple(tuple(HASH_NAMES.get(field, field) for field in facet.fields) for facet in FACETS)
_pack = msgspec.msgpack.Encoder().encode


class RedisCache:
    """See port.Cache. Its `known` states have the change's facets, and the minima only while these are unsaved.

    tombstone_ttl_seconds, profile_ttl_seconds: how long an erased device's tombstone and a profile are kept; 0 for ever.
    A tombstone that is gone is no danger: the next event of the device is filled from the database, which knows the erase.
    """

    def __init__(self, connections: Connections, *, tombstone_ttl_seconds: float, profile_ttl_seconds: float) -> None:
        self._connections = connections
        self._times_to_live_ms = (int(profile_ttl_seconds * 1000), int(tombstone_ttl_seconds * 1000))
        self._shas: dict[str, str] = {}

    def merge(self, changes: Mapping[str, State], *, create: bool = False) -> Merged:
        """See port.Cache."""
        head = (b"1" if create else b"0", *self._times_to_live_ms)
        known: dict[str, State] = {}
        missing: list[str] = []
        unsaved: list[str] = []
        with self._failures("write to"):
            packed = {device_id: _packed(change) for device_id, change in changes.items()}
            for device_id, reply in self._run(_MERGE, head, packed):
                change = changes[device_id]
                if reply is None:
                    missing.append(device_id)
                elif reply:
                    known[device_id] = _informed(change, reply)
                    unsaved.append(device_id)
                else:
                    known[device_id] = change._replace(first_access=0, user_declared_on=0)
        return Merged(known, missing, unsaved)

    def saved(self, states: Mapping[str, State]) -> None:
        """See port.Cache."""
        with self._failures("write to"):
            minima = {device_id: f"{state.first_access},{state.user_declared_on}" for device_id, state in states.items()}
            self._run(_SAVED, (), minima)

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Cache."""
        states = {}
        with self._failures("read"):
            for client, groups in self._connections.parts(device_ids, _DEVICES_PER_CALL):
                ids = [device_id for group in groups for device_id in group]
                pipeline = client.pipeline(transaction=False)
                for device_id in ids:
                    pipeline.hgetall(device_id)
                for device_id, found in zip(ids, pipeline.execute(raise_on_error=False), strict=True):
                    if _is_profile(found):
                        states[device_id] = _state(found)
        return states

    def check(self) -> None:
        """See port.Cache."""
        with self._failures("reach"):
            self._connections.ping()

    def advice(self) -> list[Advice]:
        """See port.Cache. Silent where this user may not read the server's settings."""
        with suppress(Unavailable), self._failures("read the settings of"):
            found = self._connections.settings(("hash-max-listpack-value", "maxmemory", "maxmemory-policy"))
            return list(_advice(found))
        return []

    def close(self) -> None:
        """See port.Cache."""
        self._connections.close()

    def _run(self, script: str, head: tuple[Any, ...], arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Devices and what the script replies to each. A server that restarted has forgotten the script and is told again."""
        answered: list[tuple[str, Any]] = []
        for client, groups in self._connections.parts([*arguments], _DEVICES_PER_CALL):
            try:
                replies = self._call(client, groups, script, head, arguments)
            except exceptions.NoScriptError:
                self._shas.pop(script, None)
                replies = self._call(client, groups, script, head, arguments)
            for ids, of_group in zip(groups, replies, strict=True):
                answered += zip(ids, of_group or [None] * len(ids), strict=True)
        return answered

    def _call(
        self, client: Client, groups: list[list[str]], script: str, head: tuple[Any, ...], arguments: Mapping[str, Any]
    ) -> list[Any]:
        sha = self._shas.get(script)
        if sha is None:
            sha = self._shas[script] = str(client.script_load(script))
        pipeline = client.pipeline(transaction=False)
        for ids in groups:
            pipeline.evalsha(sha, len(ids), *ids, *head, *[arguments[device_id] for device_id in ids])
        return list(pipeline.execute())

    @contextmanager
    def _failures(self, what: str) -> Iterator[None]:
        try:
            yield
        except exceptions.RedisError as error:
            self._connections.refresh()
            raise Unavailable(f"can't {what} the cache: {error}", _hint(error)) from error


def _packed(state: State) -> bytes:
    a, b, c, d, e, f = state.registers
    return _pack((*state[:5], a[0], b[0], c[0], d[0], e[0], f[0], *a[1], *b[1], *c[1], *d[1], *e[1], *f[1]))


def _informed(change: State, reply: str) -> State:
    erased, live, updated, first_access, user_declared_on = map(int, reply.split())
    known = join(change, State(live, 0, updated, first_access, user_declared_on))
    return join(known, State(erased=erased)) if erased else known


def _is_profile(found: Any) -> bool:
    """Whether it is a hash of ours. A key of another type is none; any other error is raised."""
    if isinstance(found, exceptions.RedisError) and not str(found).startswith("WRONGTYPE"):
        raise found
    return isinstance(found, dict) and "_state" in found


def _state(found: dict[str, str]) -> State:
    erased, live, *facets, updated, first_access, user_declared_on, _ = found["_state"].split(",")
    if live == "0":
        return State(erased=int(erased))
    registers = []
    for packed, fields in zip(facets, _FIELDS, strict=True):
        registers.append((int(packed or live), tuple([found.get(field) for field in fields])))
    state = State(int(live), 0, int(updated), int(first_access), int(user_declared_on), tuple(registers))
    return join(state, State(erased=int(erased))) if erased != "0" else state


def _advice(found: dict[str, str]) -> Iterator[Advice]:
    value_bytes = int(found.get("hash-max-listpack-value", _LISTPACK_BYTES))
    if value_bytes < _LISTPACK_BYTES:
        yield Advice(
            f"hash-max-listpack-value is {value_bytes}: profiles take twice the memory",
            f"CONFIG SET hash-max-listpack-value {_LISTPACK_BYTES}, and in redis.conf",
        )
    if found.get("maxmemory", "0") != "0" and found.get("maxmemory-policy") == "noeviction":
        yield Advice(
            "maxmemory with noeviction: when it is full, nothing is written",
            "maxmemory-policy allkeys-lru; what is evicted is filled again",
        )


def _hint(error: exceptions.RedisError) -> str:
    if isinstance(error, exceptions.OutOfMemoryError):
        return "Redis is out of memory: raise maxmemory, or set an eviction policy such as allkeys-lru"
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return "check the user and password in the cache's URL, and the commands that this user may run (docs/real-stack.md)"
    return "check that Redis runs and that the cache's URL names it"
