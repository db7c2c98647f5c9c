"""The connections of one listening socket: how many there may be, and which one makes room for a new one."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import structlog

from devicesync.api.networks import Connected, Network, Networks
from devicesync.api.unsent import Unsent

READ_BYTES = 16_384
ADMIN_CONNECTIONS = 64
"""How many connections an admin port may have."""

MOST_ENDING = 32
"""How many connections there may be above the limit, each until its last answer is given."""

_MOST_LOOKED_AT = 32
"""So many idle connections are asked, at each new one, whether their clients have taken all."""
_SAY_AGAIN_SECONDS = 60.0
_log: Any = structlog.get_logger("devicesync")


class Limits(NamedTuple):
    """connections: of all clients. per_address: of one IPv4 address or IPv6 /64, 0 for no limit. is_proxy: has no such limit."""

    connections: int = 1000
    per_address: int = 0
    is_proxy: Callable[[str], bool] = lambda address: False


_DEFAULT = Limits()


class Door:
    """An application and its connections. buffer: where each read goes first. stopping: no further request is accepted.

    unsent: what clients have not taken.
    """

    def __init__(self, app: Any, limits: Limits = _DEFAULT) -> None:
        self.app = app
        self.buffer = bytearray(READ_BYTES)
        self.unsent = Unsent()
        self.stopping = False
        self._limits = limits
        self._networks = Networks()
        self._network_of: dict[Connected, Network] = {}
        self._waiting: OrderedDict[Connected, None] = OrderedDict()
        self._idle: OrderedDict[Connected, None] = OrderedDict()
        self._ending: OrderedDict[Connected, None] = OrderedDict()
        self._said_at = float("-inf")

    def admit(self, connection: Connected, address: str, now: float) -> bool:
        """Return whether there is room. At a limit, another connection is closed or will be, if there is one that may be."""
        network = self._networks.of(address)
        if not (self._has_room_for(network, address, now) and self._has_room(network, now)):
            return False
        self._network_of[connection] = network
        self._networks.add(connection, network)
        self.waits(connection, is_idle=False)
        return True

    def leave(self, connection: Connected) -> None:
        """The connection is closed."""
        self.busy(connection)
        self._ending.pop(connection, None)
        network = self._network_of.pop(connection, None)
        if network is not None:
            self._networks.remove(connection, network)

    def busy(self, connection: Connected) -> None:
        """A whole request has come: from now on we have to act."""
        if connection in self._waiting:
            del self._waiting[connection]
            del self._network_of[connection].waiting[connection]
            self._idle.pop(connection, None)

    def waits(self, connection: Connected, *, is_idle: bool) -> None:
        """From now on the client has to act. is_idle: all that it has asked is answered, and nothing has come since."""
        network = self._network_of.get(connection)
        if network is not None:
            self.busy(connection)
            self._waiting[connection] = network.waiting[connection] = None
            if is_idle:
                self._idle[connection] = None

    def look(self, now: float) -> None:
        """End what takes too long."""
        for connection in self._all():
            connection.look(now)

    def stop(self) -> None:
        """Accept no more requests."""
        self.stopping = True
        for connection in self._all():
            connection.stop()

    def close(self) -> None:
        """End all connections now. Clients still get what was written."""
        for connection in self._all():
            connection.close()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._network_of) + len(self._ending)

    @property
    def busy_count(self) -> int:
        """How many have a whole request that is not answered."""
        return len(self) - len(self._waiting)

    def _all(self) -> list[Connected]:
        return [*self._network_of, *self._ending]

    def _has_room_for(self, network: Network, address: str, now: float) -> bool:
        most = self._limits.per_address
        if not most or len(network.opened) < most or self._limits.is_proxy(address):
            return True
        self._say(now, "one address has max_connections_per_address; a proxy belongs in trusted_proxies", most)
        return self._make_room(_first(network.waiting))

    def _has_room(self, network: Network, now: float) -> bool:
        """Whoever holds the most gives one to whoever holds less. Else an idle one is closed, then one of the same network."""
        if len(self._network_of) < self._limits.connections:
            return True
        self._say(now, "max_connections is reached", self._limits.connections)
        largest = self._networks.largest()
        held, most = len(network.opened), len(largest.opened)
        if held + 1 < most:
            return self._make_room(_first(largest.waiting)) or self._end(next(iter(largest.opened)))
        return self._make_room(self._first_idle() or _first(network.waiting if held else self._idle or self._waiting))

    def _first_idle(self) -> Connected | None:
        """The one that is idle for longest. Who still takes an answer would lose it."""
        return next((each for each in islice(self._idle, _MOST_LOOKED_AT) if each.has_taken_all()), None)

    def _make_room(self, connection: Connected | None) -> bool:
        if connection is None:
            return False
        self.leave(connection)
        connection.cut_off()
        return True

    def _end(self, connection: Connected) -> bool:
        """Let it end after the answer under way. Where too many do, the first of them ends now."""
        self.leave(connection)
        self._ending[connection] = None
        connection.stop()
        if len(self._ending) > MOST_ENDING:
            self._make_room(next(iter(self._ending)))
        return True

    def _say(self, now: float, what: str, most: int) -> None:
        if now - self._said_at > _SAY_AGAIN_SECONDS:
            self._said_at = now
            _log.warning(what, connections=most, then="others are closed")


def _first(connections: OrderedDict[Connected, None]) -> Connected | None:
    return next(iter(connections), None)
