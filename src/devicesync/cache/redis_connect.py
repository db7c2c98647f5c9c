"""Connecting to Redis: one server, a Cluster, or whoever Sentinel says is the primary; and which keys go together."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from devicesync.errors import WrongUse

FORMS = (
    "redis://[USER:PASSWORD@]HOST:PORT/DB",
    "rediss://…",
    "redis+cluster://HOST:PORT[,…]",
    "redis+sentinel://HOST:PORT[,…]/SERVICE/DB",
)
DEFAULT_DB = 2
_TIMEOUT_SECONDS = 5.0

Client = Any
"""redis.Redis; its annotations allow every reply to be a future, which helps nobody here."""

Part = tuple[Client, list[list[str]]]


class Connections(Protocol):
    """Which client takes which keys."""

    def parts(self, keys: Sequence[str], limit: int) -> Iterator[Part]:
        """Clients, each with its keys in groups of at most `limit` that one script may touch together."""
        ...

    def ping(self) -> None:
        """Raise redis' own error unless every server answers."""
        ...

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """The values of some of the server's settings."""
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

    def parts(self, keys: Sequence[str], limit: int) -> Iterator[Part]:
        """See Connections."""
        if keys:
            yield self.client, list(_groups(keys, limit))

    def ping(self) -> None:
        """See Connections."""
        self.client.ping()

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """See Connections."""
        return _settings(self.client, names)

    def refresh(self) -> None:
        """See Connections."""

    def close(self) -> None:
        """See Connections."""
        self.client.close()


class Cluster:
    """A Redis Cluster: keys are grouped by slot, and the groups sent to the slot's node together."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster: Any = cluster

    def parts(self, keys: Sequence[str], limit: int) -> Iterator[Part]:
        """See Connections."""
        slots: dict[int, list[str]] = {}
        for key in keys:
            slots.setdefault(self._cluster.keyslot(key), []).append(key)
        nodes: dict[str, list[list[str]]] = {}
        for slot, together in slots.items():
            node = self._cluster.nodes_manager.get_node_from_slot(slot)
            nodes.setdefault(node.name, []).extend(_groups(together, limit))
        for name, groups in nodes.items():
            yield self._client(name), groups

    def ping(self) -> None:
        """See Connections."""
        for node in self._cluster.get_primaries():
            self._client(node.name).ping()

    def settings(self, names: Sequence[str]) -> dict[str, str]:
        """See Connections: those of one of the nodes."""
        return _settings(self._client(self._cluster.get_primaries()[0].name), names)

    def refresh(self) -> None:
        """See Connections."""
        self._cluster.nodes_manager.initialize()

    def close(self) -> None:
        """See Connections."""
        self._cluster.close()

    def _client(self, name: str) -> Client:
        return self._cluster.get_redis_connection(self._cluster.get_node(node_name=name))


def connect(url: str) -> Connections:
    """The connections that a cache URL names. Nothing is sent yet, but to a Cluster, which is asked for its nodes.

    Raises WrongUse for a URL that is not understood, and redis' own errors.
    """
    scheme, _, rest = url.partition("://")
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # the job waits and repeats; two layers of patience are hard to reason about
    }
    if scheme in ("redis", "rediss"):
        return OneServer(
            redis.Redis.from_url(url if urlsplit(url).path.strip("/") else f"{url.rstrip('/')}/{DEFAULT_DB}", **options)
        )
    who, _, places = rest.rpartition("@")
    servers, _, path = places.partition("/")
    login = dict(zip(("username", "password"), map(unquote, who.split(":", 1)), strict=False)) if who else {}
    hosts = [(host, int(port or "6379")) for host, _, port in (server.partition(":") for server in servers.split(","))]
    if scheme in ("redis+cluster", "rediss+cluster"):
        node: Any = ClusterNode
        options |= {
            "startup_nodes": [node(host, port) for host, port in hosts],
            "ssl": scheme == "rediss+cluster",
            **login,
        }
        return Cluster(RedisCluster(**options))
    if scheme == "redis+sentinel" and path:
        service, _, database = path.partition("/")
        find_sentinel: Any = Sentinel
        sentinel = find_sentinel(hosts, sentinel_kwargs={"socket_timeout": _TIMEOUT_SECONDS})
        return OneServer(sentinel.master_for(service, db=int(database or DEFAULT_DB), **login, **options))
    raise WrongUse(f"{scheme}:// is no cache", f"write {' or '.join(FORMS)}")


def _settings(client: Client, names: Sequence[str]) -> dict[str, str]:
    return {name: str(value) for wanted in names for name, value in dict(client.config_get(wanted)).items()}


def _groups(keys: Sequence[str], limit: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while group := list(islice(rest, limit)):
        yield group
