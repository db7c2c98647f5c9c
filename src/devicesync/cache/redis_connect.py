"""Connecting to Redis: one server, a Cluster, or whoever Sentinel says is the primary; and which keys go together."""

from binascii import crc_hqx
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count
from typing import Any, NamedTuple, Protocol

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from devicesync.cache.redis_url import RedisUrl
from devicesync.few import few_at_once

_TIMEOUT_SECONDS = 5.0
_HEARTBEAT = "\x1fdevicesync:heartbeat"
_TICKETS = "\x1fdevicesync:tickets"  # no device's id holds a control character
_SLOTS = 16384
_IN_A_SCRIPT = "user executing the script can't run this command"
"""What Redis says where it refuses a command inside a script."""

Client = Any
"""redis.Redis; its annotations allow every reply to be a future, which helps nobody here."""

Shard = tuple[Client, list[list[str]]]


class Server(NamedTuple):
    """One server: its name, a way to a new connection that speaks RESP3, and a key of ours that lies on it."""

    name: str
    connection: Callable[[], Any]
    heartbeat: str


class Connections(Protocol):
    """Which client takes which keys."""

    def shards(self, keys: Sequence[str], limit: int) -> Iterator[Shard]:
        """The shards of these keys, their keys in groups of at most `limit` that one script may touch together."""
        ...

    def clients(self) -> list[Client]:
        """One for each server that takes writes."""
        ...

    def beside(self, key: str) -> str:
        """The key of the tickets (look.lua) that a script may touch together with this one."""
        ...

    def ping(self) -> None:
        """Raise redis' own error unless every server answers."""
        ...

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """The values of some of the server's settings."""
        ...

    def servers(self) -> "list[Server]":
        """The servers that take writes, as Sentinel or the Cluster has them now. Raises redis' own errors."""
        ...

    def refresh(self) -> None:
        """Something failed: look anew who is where, on the next use."""
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class OneServer:
    """A single primary: a plain server, or the one that Sentinel names."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def shards(self, keys: Sequence[str], limit: int) -> Iterator[Shard]:
        """See Connections."""
        if keys:
            yield self.client, list(few_at_once(keys, limit))

    def clients(self) -> list[Client]:
        """See Connections."""
        return [self.client]

    def beside(self, key: str) -> str:
        """See Connections."""
        del key
        return _TICKETS

    def ping(self) -> None:
        """See Connections."""
        self.client.ping()

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """See Connections."""
        return _settings(self.client, names)

    def servers(self) -> list[Server]:
        """See Connections."""
        pool = self.client.connection_pool
        if hasattr(pool, "get_master_address"):
            host, port = pool.get_master_address()  # it lets go the connections to another one
        else:
            host, port = pool.connection_kwargs["host"], pool.connection_kwargs["port"]
        return [_server(f"{host}:{port}", self.client, _HEARTBEAT)]

    def refresh(self) -> None:
        """See Connections."""

    def close(self) -> None:
        """See Connections."""
        self.client.close()


class Cluster:
    """A Redis Cluster: keys are grouped by slot, and the groups sent to the slot's node together.

    connect: asks the Cluster for its nodes. It is called at the first use, and again until it works.
    """

    def __init__(self, connect: Callable[[], RedisCluster]) -> None:
        self._connect = connect
        self._connected: Any = None

    @property
    def _cluster(self) -> Any:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def shards(self, keys: Sequence[str], limit: int) -> Iterator[Shard]:
        """See Connections."""
        slots: dict[int, list[str]] = {}
        for key in keys:
            slots.setdefault(self._cluster.keyslot(key), []).append(key)
        nodes: dict[str, list[list[str]]] = {}
        for slot, together in slots.items():
            node = self._cluster.nodes_manager.get_node_from_slot(slot)
            nodes.setdefault(node.name, []).extend(few_at_once(together, limit))
        for name, groups in nodes.items():
            yield self._client(name), groups

    def clients(self) -> list[Client]:
        """See Connections."""
        return [self._client(node.name) for node in self._cluster.get_primaries()]

    def beside(self, key: str) -> str:
        """See Connections: in the key's slot."""
        return f"{_TICKETS}{{{_tags()[self._cluster.keyslot(key)]}}}"

    def ping(self) -> None:
        """See Connections."""
        for node in self._cluster.get_primaries():
            self._client(node.name).ping()

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """See Connections: those of one of the nodes."""
        return _settings(self._client(self._cluster.get_primaries()[0].name), names)

    def servers(self) -> list[Server]:
        """See Connections."""
        manager = self._cluster.nodes_manager
        manager.initialize()
        slots = {nodes[0].name: slot for slot, nodes in manager.slots_cache.items()}
        return [_server(name, self._client(name), f"{_HEARTBEAT}{{{_tags()[slot]}}}") for name, slot in slots.items()]

    def refresh(self) -> None:
        """See Connections."""
        if self._connected:
            self._connected.nodes_manager.initialize()

    def close(self) -> None:
        """See Connections."""
        if self._connected:
            self._connected.close()

    def _client(self, name: str) -> Client:
        return self._cluster.get_redis_connection(self._cluster.get_node(node_name=name))


def connect(text: str, timeout_seconds: float = _TIMEOUT_SECONDS) -> Connections:
    """The connections that a cache URL names. Nothing is sent yet. Raises WrongUse for a URL that is not understood."""
    url = RedisUrl.parse(text)
    options: dict[str, Any] = {
        "username": url.user,
        "password": url.password,
        "decode_responses": True,
        "encoding_errors": "surrogateescape",  # what another program wrote may be no UTF-8, and must not look like a text of ours
        "socket_timeout": timeout_seconds,
        "socket_connect_timeout": timeout_seconds,
        "retry": Retry(NoBackoff(), 0),  # the job waits and repeats; two layers of patience are hard to reason about
    }
    if url.tls:
        options |= {"ssl": True, "ssl_ca_certs": url.ca}
    if url.kind == "cluster":
        node: Any = ClusterNode
        return Cluster(lambda: RedisCluster(startup_nodes=[node(host, port) for host, port in url.hosts], **options))
    if url.kind == "sentinel":
        find_sentinel: Any = Sentinel
        tls = {name: value for name, value in options.items() if name.startswith("ssl")}
        sentinel = find_sentinel(url.hosts, sentinel_kwargs={"socket_timeout": timeout_seconds, **tls})
        return OneServer(sentinel.master_for(url.service, db=url.database, **options))
    ((host, port),) = url.hosts
    return OneServer(redis.Redis(host=host, port=port, db=url.database, **options))


@cache
def _tags() -> dict[int, str]:
    """For each slot of a Cluster a text that lies in it."""
    tags: dict[int, str] = {}
    for number in count():
        tags.setdefault(crc_hqx(str(number).encode(), 0) % _SLOTS, str(number))
        if len(tags) == _SLOTS:
            break
    return tags


def _server(name: str, client: Client, heartbeat: str) -> Server:
    pool = client.connection_pool
    options = {**pool.connection_kwargs, "protocol": 3}
    return Server(name, lambda: pool.connection_class(**options), heartbeat)


def _settings(client: Client, names: Sequence[str]) -> dict[str, str]:
    return {name: str(value) for wanted in names for name, value in dict(client.config_get(wanted)).items()}


def hint_for(error: Exception) -> str:
    """What to do about an error of the client."""
    if isinstance(error, exceptions.OutOfMemoryError):
        return "Redis is out of memory: raise maxmemory, or set an eviction policy such as allkeys-lru"
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError) or _IN_A_SCRIPT in str(error):
        return "check the user and password in the cache's URL, and the commands that this user may run (docs/grants.md)"
    return "check that Redis runs and that the cache's URL names it"
