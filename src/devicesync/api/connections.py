"""The connections of one listening socket: how many there may be, and which one makes room for a new one."""

from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol

import structlog

READ_BYTES = 16_384
ADMIN_CONNECTIONS = 64
"""How many connections an admin port may have."""

_SAY_AGAIN_SECONDS = 60.0
_log: Any = structlog.get_logger("devicesync")


class Limits(NamedTuple):
    """connections: of all clients. per_address: of one IPv4 address or IPv6 /64, 0 for no limit. is_proxy: has no such limit."""

    connections: int = 1000
    per_address: int = 0
    is_proxy: Callable[[str], bool] = lambda address: False


_DEFAULT = Limits()


class Connected(Protocol):
    """A connection, as its door sees it."""

    def look(self, now: float) -> None:
        """End what takes too long. now: the event loop's time, in seconds."""

    def cut_off(self) -> None:
        """End it now."""

    def stop(self) -> None:
        """End it now, or after the answer to a whole request."""


class Door:
    """An application and its connections. buffer: where each read goes first. stopping: no further request is accepted."""

    def __init__(self, app: Any, limits: Limits = _DEFAULT) -> None:
        self.app = app
        self.buffer = bytearray(READ_BYTES)
        self.stopping = False
        self._limits = limits
        self._networks: dict[Connected, str] = {}
        self._counts: Counter[str] = Counter()
        self._waiting: dict[Connected, None] = {}
        self._said_at = float("-inf")

    def admit(self, connection: Connected, address: str, now: float) -> bool:
        """Return whether there is room. At a limit, the connection that has waited longest for its client's request is closed."""
        network = _network(address)
        if not (self._has_room_for(network, address, now) and self._has_room(now)):
            return False
        self._networks[connection] = network
        self._counts[network] += 1
        self._waiting[connection] = None
        return True

    def leave(self, connection: Connected) -> None:
        """The connection is closed."""
        self._waiting.pop(connection, None)
        network = self._networks.pop(connection, None)
        if network is not None:
            self._counts[network] -= 1
            if not self._counts[network]:
                del self._counts[network]

    def busy(self, connection: Connected) -> None:
        """A whole request has come: from now on we have to act."""
        self._waiting.pop(connection, None)

    def waits(self, connection: Connected) -> None:
        """From now on the client has to act."""
        if connection in self._networks:
            self._waiting.pop(connection, None)
            self._waiting[connection] = None

    def look(self, now: float) -> None:
        """End what takes too long."""
        for connection in [*self._networks]:
            connection.look(now)

    def stop(self) -> None:
        """Accept no more requests."""
        self.stopping = True
        for connection in [*self._networks]:
            connection.stop()

    def cut_off(self) -> None:
        """End all connections now."""
        for connection in [*self._networks]:
            connection.cut_off()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._networks)

    @property
    def busy_count(self) -> int:
        """How many have a whole request that is not answered."""
        return len(self._networks) - len(self._waiting)

    def _has_room(self, now: float) -> bool:
        if len(self) < self._limits.connections:
            return True
        self._say(now, "max_connections is reached", self._limits.connections)
        return self._make_room(next(iter(self._waiting), None))

    def _has_room_for(self, network: str, address: str, now: float) -> bool:
        most = self._limits.per_address
        if not most or self._counts[network] < most or self._limits.is_proxy(address):
            return True
        self._say(now, "one address has max_connections_per_address; a proxy belongs in trusted_proxies", most)
        return self._make_room(next((each for each in self._waiting if self._networks[each] == network), None))

    def _make_room(self, connection: Connected | None) -> bool:
        if connection is None:
            return False
        self.leave(connection)
        connection.cut_off()
        return True

    def _say(self, now: float, what: str, most: int) -> None:
        if now - self._said_at > _SAY_AGAIN_SECONDS:
            self._said_at = now
            _log.warning(what, connections=most, then="those that wait longest are closed")


def _network(address: str) -> str:
    if ":" not in address:
        return address
    parsed = ip_address(address.partition("%")[0])
    return str(int(parsed) >> 64)
