"""The client's IP address: from the connection, or from the header of a trusted proxy."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import structlog

from devicesync.api.answers import RequestError
from devicesync.api.requests import Headers
from devicesync.errors import WrongUse

Address = IPv4Address | IPv6Address

FORWARDED = (b"x-forwarded-for", b"x-real-ip")
"""Headers in which a proxy says who is asking; the first one that is there counts."""

NO_PROXIES = "trusted_proxies is empty: behind a proxy, every device gets the proxy's address and place"
_LONGEST = 64
_NETWORK_BYTES, _CUSTOMER_BYTES = 8, 6
_KEPT = 4096
_log: Any = structlog.get_logger("devicesync")


class Clients:
    """trusted_proxies: networks (CIDR), separated by commas. Without any, no header is believed, and the peer's address counts.

    With some, such a header from anybody else is refused: it is forged, or a proxy is missing in the setting.
    """

    def __init__(self, trusted_proxies: str) -> None:
        try:
            self._trusted = [ip_network(network.strip()) for network in trusted_proxies.split(",") if network.strip()]
        except ValueError as error:
            raise WrongUse(f"trusted_proxies: {error}", "networks such as 10.0.0.0/8,fd00::/8") from None
        self._warned = False

    def address(self, peer: str, headers: Headers) -> Address | None:
        """Return the last address that is no trusted proxy's. None where the connection has none. Raises RequestError."""
        nearest = parsed(peer)
        said = next((headers[name] for name in FORWARDED if name in headers), None)
        if said is None:
            return nearest
        if not self._trusted:
            self._warn()
            return nearest
        if nearest is None or not self._trusts(nearest):
            raise RequestError(
                400, "UNTRUSTED_PROXY", "X-Forwarded-For or X-Real-IP from an address that is not in trusted_proxies"
            )
        for entry in reversed(said.decode("latin-1").split(",")):
            further = parsed(entry)
            if further is None:  # junk: nobody can say what lies behind it
                break
            nearest = further
            if not self._trusts(further):
                break
        return nearest

    def is_proxy(self, peer: str) -> bool:
        """Whether a peer is one of the trusted proxies."""
        address = _parsed(peer)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)

    def _warn(self) -> None:
        if not self._warned:
            _log.warning("a proxy says who is asking, and is not believed", reason=NO_PROXIES, hint="name its network there")
        self._warned = True


def network_of(address: Address | None) -> bytes:
    """An IPv4 address, or an IPv6 network of 64 bits: the owner of one address in it has them all. Nobody's is empty."""
    return address.packed[:_NETWORK_BYTES] if address else b""


def customer_of(address: Address | None) -> bytes:
    """An IPv4 address, or an IPv6 network of 48 bits: no customer of a provider gets a larger one, and some get that."""
    return network_of(address)[: _CUSTOMER_BYTES if isinstance(address, IPv6Address) else None]


def parsed(entry: str) -> Address | None:
    """An address, with a port or without: 61.12.65.222:33740, [2001:db8::1]:443, ::ffff:1.2.3.4; None for anything else.

    An IPv6 scope (fe80::1%eth0) is valid on its own host only, so such a text is no address here.
    """
    return _parsed(entry.strip()) if len(entry) <= _LONGEST else None


@lru_cache(_KEPT)
def _parsed(text: str) -> Address | None:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
