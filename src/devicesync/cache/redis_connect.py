"""Connecting to Redis: one server, a Cluster, or whoever Sentinel says is the primary; and which keys go together."""

from binascii import crc_hqx
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, islice
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from devicesync.errors import WrongUse

FORMS = (
    "redis://[USER:PASSWORD@]HOST:PORT/DB",
    "redis+cluster://HOST:PORT[,…]",
    "redis+sentinel://HOST:PORT[,…]/SERVICE/DB",
    "with TLS rediss://…, rediss+cluster://…, rediss+sentinel://…, each with ?ca=FILE for certificates of your own",
)
DEFAULT_DB = 2
_TIMEOUT_SECONDS = 5.0
_TICKETS = "\x1fdevicesync:tickets"  # no device's id holds a control character
_SLOTS = 16384

Client = Any
"""redis.Redis; its annotations allow every reply to be a future, which helps nobody here."""

Part = tuple[Client, list[list[str]]]


class Connections(Protocol):
    """Which client takes which keys."""

    def parts(self, keys: Sequence[str], limit: int) -> Iterator[Part]:
        """Clients, each with its keys in groups of at most `limit` that one script may touch together."""
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


class _Place(msgspec.Struct, frozen=True):
    """A cache URL, read. `ca`: a PEM file of certificates to trust instead of the system's, for rediss."""

    hosts: list[tuple[str, int]]
    path: str
    username: str | None = None
    password: str | None = None
    ca: str | None = None


def connect(url: str) -> Connections:
    """The connections that a cache URL names. Nothing is sent yet. Raises WrongUse for a URL that is not understood."""
    scheme, _, rest = url.partition("://")
    place = _place_of(rest)
    options: dict[str, Any] = {
        "username": place.username,
        "password": place.password,
        "decode_responses": True,
        "socket_timeout": _TIMEOUT_SECONDS,
        "socket_connect_timeout": _TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),  # the job waits and repeats; two layers of patience are hard to reason about
    }
    if scheme.startswith("rediss"):
        options |= {"ssl": True, "ssl_ca_certs": place.ca}
    kind = scheme.partition("+")[2]
    if not kind and len(place.hosts) == 1:
        ((host, port),) = place.hosts
        return OneServer(redis.Redis(host=host, port=port, db=_database(place.path), **options))
    node: Any = ClusterNode
    if kind == "cluster":
        return Cluster(lambda: RedisCluster(startup_nodes=[node(host, port) for host, port in place.hosts], **options))
    service, _, database = place.path.partition("/")
    if kind == "sentinel" and service:
        find_sentinel: Any = Sentinel
        sentinel = find_sentinel(place.hosts, sentinel_kwargs={"socket_timeout": _TIMEOUT_SECONDS})
        return OneServer(sentinel.master_for(service, db=_database(database), **options))
    raise WrongUse("the cache's URL is not understood", f"write {' or '.join(FORMS)}")


def _place_of(rest: str) -> _Place:
    who, _, places = rest.rpartition("@")
    servers, _, tail = places.partition("/")
    path, _, query = tail.partition("?")
    user, _, password = who.partition(":")
    hosts = [(host, int(port or "6379")) for host, _, port in (server.partition(":") for server in servers.split(","))]
    options = dict(parse_qsl(query))
    if set(options) - {"ca"} or not all(host for host, _ in hosts):
        raise WrongUse("the cache's URL is not understood", f"write {' or '.join(FORMS)}")
    return _Place(hosts, path, unquote(user) or None, unquote(password) or None, options.get("ca"))


def _database(path: str) -> int:
    if path and not path.isdigit():
        raise WrongUse(f"{path!r} is no Redis database", "a number, such as redis://HOST:PORT/2")
    return int(path or DEFAULT_DB)


@cache
def _tags() -> dict[int, str]:
    """For each slot of a Cluster a text that lies in it."""
    tags: dict[int, str] = {}
    for number in count():
        tags.setdefault(crc_hqx(str(number).encode(), 0) % _SLOTS, str(number))
        if len(tags) == _SLOTS:
            break
    return tags


def _settings(client: Client, names: Sequence[str]) -> dict[str, str]:
    return {name: str(value) for wanted in names for name, value in dict(client.config_get(wanted)).items()}


def _groups(keys: Sequence[str], limit: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while group := list(islice(rest, limit)):
        yield group
