"""Asking Redis for many devices in one round trip to each of its servers."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

from redis import exceptions

from devicesync.cache.redis_connect import Client, Connections
from devicesync.clock import SYSTEM
from devicesync.enrich.devicedata import FIELDS, members
from devicesync.enrich.near_cache import Entry
from devicesync.errors import Unavailable

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
_HINT = "check that Redis runs and that the cache's URL names it"
_DEVICES_PER_TRIP = 500
_TRIES = 3
_FIELDS = b"".join(b"$%d\r\n%b\r\n" % (len(name), name.encode()) for name in FIELDS)
_HEAD = b"*%d\r\n$5\r\nHMGET\r\n$" % (len(FIELDS) + 2)


Values = Sequence[bytes | None]
_UNKNOWN: Values = [None] * len(FIELDS)


class Found(NamedTuple):
    """What was read, and whether it may be kept: changes of all the servers that were asked are heard of."""

    entries: dict[str, Entry]
    may_keep: bool


class Lookup:
    """Reads profiles. stamped: as for devicedata.members. Safe for several threads."""

    def __init__(self, connections: Connections, *, stamped: bool) -> None:
        self._connections = connections
        self._stamped = stamped

    def read(self, device_ids: Sequence[str], heard: Collection[str]) -> Found:
        """What Redis knows of each. heard: the servers whose changes are heard of. Raises Unavailable."""
        read_at = SYSTEM.monotonic()
        found: dict[str, Entry] = {}
        may_keep = True
        left = list(device_ids)
        for tries_left in reversed(range(_TRIES)):
            try:
                for trip, (server, replies) in self._trips(left):
                    may_keep = may_keep and server in heard
                    for device_id, values in zip(trip, replies, strict=True):
                        found[device_id] = Entry(*members(values, stamped=self._stamped), read_at)
            except FAILURES as error:
                with suppress(*FAILURES):  # every node of a Cluster may be away
                    self._connections.refresh()
                if not tries_left:
                    raise Unavailable(f"can't read the cache: {error}", _HINT) from error
            left = [device_id for device_id in left if device_id not in found]
            if not left:
                break
        return Found(found, may_keep)

    def _trips(self, device_ids: Sequence[str]) -> Iterator[tuple[list[str], tuple[str, list[Values]]]]:
        for client, groups in self._connections.shards(device_ids, _DEVICES_PER_TRIP):
            ids = list(chain.from_iterable(groups))
            for start in range(0, len(ids), _DEVICES_PER_TRIP):
                trip = ids[start : start + _DEVICES_PER_TRIP]
                yield trip, _asked(client, trip)


def _asked(client: Client, device_ids: Sequence[str]) -> tuple[str, list[Values]]:
    """The server's name, and the values of FIELDS of each. Packed by hand: redis-py's pipeline takes five times as long."""
    packed = b"".join([_packed(device_id.encode()) for device_id in device_ids])
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([packed])
        return f"{connection.host}:{connection.port}", [_reply(connection.read_response) for _ in device_ids]
    except BaseException:
        connection.disconnect()  # replies may be left in it
        raise
    finally:
        pool.release(connection)


def _reply(read_response: Callable[..., Any]) -> Values:
    try:
        found: Values = read_response(disable_decoding=True)
    except exceptions.ResponseError as error:
        if not str(error).startswith("WRONGTYPE"):  # a key that is no hash is no device's
            raise
        return _UNKNOWN
    return found


def _packed(device_id: bytes) -> bytes:
    return b"%b%d\r\n%b\r\n%b" % (_HEAD, len(device_id), device_id, _FIELDS)
