"""Who is asking: the client's IP address, from the connection, or from proxies that are trusted to say it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from devicesync.api.answers import Refusal
from devicesync.errors import WrongUse

Address = IPv4Address | IPv6Address


class Clients:
    """trusted_proxies: networks (CIDR), comma-separated. With none, nobody is believed about others: the peer counts.

    With some, X-Forwarded-For from anybody else is refused: it is spoofed, or a proxy is missing in the setting.
    """

    def __init__(self, trusted_proxies: str) -> None:
        try:
            self._trusted = [ip_network(network.strip()) for network in trusted_proxies.split(",") if network.strip()]
        except ValueError as error:
            raise WrongUse(f"trusted_proxies: {error}", "networks such as 10.0.0.0/8,fd00::/8") from None

    def address(self, peer: str, forwarded_for: bytes | None) -> str:
        """The client's address: the last that no trusted proxy has. Raises Refusal."""
        if not self._trusted or forwarded_for is None:
            return peer
        nearest = _parsed(peer)
        if nearest is None or not self._trusts(nearest):
            raise Refusal(400, "UNTRUSTED_PROXY", "X-Forwarded-For from an address that is not in trusted_proxies")
        for entry in reversed(forwarded_for.decode("latin-1").split(",")):
            said = _parsed(entry)
            if said is None:  # junk: nobody can say what lies behind it
                break
            nearest = said
            if not self._trusts(said):
                break
        return str(nearest)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def declared_address(text: str) -> str:
    """An address that a request's body gives. Raises Refusal."""
    address = _parsed(text)
    if address is None:
        raise Refusal(400, "INVALID_REQUEST", "request.ip_addr is no IP address")
    return str(address)


def _parsed(entry: str) -> Address | None:
    """An address, with a port or without: 61.12.65.222:33740, [2001:db8::1]:443, ::ffff:1.2.3.4."""
    text = entry.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
