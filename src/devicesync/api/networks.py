"""The connections of each network, and the network that holds the most. Each step takes as long with many as with few."""

from collections import OrderedDict
from typing import Protocol

from devicesync.api.clients import network_of, parsed


class Connected(Protocol):
    """A connection, as its door sees it."""

    def look(self, now: float) -> None:
        """End what takes too long. now: the event loop's time, in seconds."""

    def has_taken_all(self) -> bool:
        """Whether the client has all answers."""

    def cut_off(self) -> None:
        """End it now, and throw away what the client has not taken."""

    def close(self) -> None:
        """End it now. The client still gets what was written."""

    def stop(self) -> None:
        """End it now, or after the answer to a whole request."""


class Network:
    """One IPv4 address or IPv6 /64. opened: its connections, the oldest first. waiting: those that wait for their client."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.opened: OrderedDict[Connected, None] = OrderedDict()
        self.waiting: OrderedDict[Connected, None] = OrderedDict()


class Networks:
    """Those that have connections."""

    def __init__(self) -> None:
        self._named: dict[bytes, Network] = {}
        self._holding: dict[int, OrderedDict[Network, None]] = {}
        self._most = 0

    def of(self, address: str) -> Network:
        """The network that an address belongs to."""
        name = network_of(parsed(address.partition("%")[0]))
        return self._named.get(name) or Network(name)

    def largest(self) -> Network:
        """One that holds the most connections. At least one must be open."""
        return next(iter(self._holding[self._most]))

    def add(self, connection: Connected, network: Network) -> None:
        """It is open."""
        network.opened[connection] = None
        held = len(network.opened)
        self._move(network, held - 1, held)
        self._most = max(self._most, held)
        self._named[network.name] = network

    def remove(self, connection: Connected, network: Network) -> None:
        """It is closed, or soon will be."""
        del network.opened[connection]
        held = len(network.opened)
        self._move(network, held + 1, held)
        if self._most not in self._holding:
            self._most -= 1
        if not held:
            del self._named[network.name]

    def _move(self, network: Network, before: int, held: int) -> None:
        if before:
            del self._holding[before][network]
            if not self._holding[before]:
                del self._holding[before]
        if held:
            self._holding.setdefault(held, OrderedDict())[network] = None
