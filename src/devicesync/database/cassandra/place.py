"""Where a keyspace is and how it is reached, read from a URL."""

from typing import Literal
from urllib.parse import parse_qsl, unquote

import msgspec

from devicesync.errors import WrongUse

FORM = "cassandra://[USER:PASSWORD@]HOST[:PORT][,…]/KEYSPACE[?consistency=LOCAL_QUORUM&local_dc=NAME&replicas=N&tls=1&ca=FILE]"
_PORT = 9042

Consistency = Literal["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE"]


class Place(msgspec.Struct, frozen=True):
    """A keyspace. `ca`: a PEM file of certificates to trust instead of the system's, with `tls`."""

    hosts: list[str]
    port: int
    keyspace: str
    user: str | None = None
    password: str | None = None
    consistency: Consistency = "LOCAL_QUORUM"
    local_dc: str | None = None
    replicas: int = 3
    tls: bool = False
    ca: str | None = None


def place_of(url: str) -> Place:
    """Read a database URL. Raises WrongUse."""
    who, _, rest = url.removeprefix("cassandra://").rpartition("@")
    servers, _, path = rest.partition("/")
    keyspace, _, query = path.partition("?")
    hosts, ports = zip(*(server.partition(":")[::2] for server in servers.split(",")), strict=True)
    user, _, password = who.partition(":")
    options = dict(parse_qsl(query))
    known = {"hosts": list(hosts), "port": next((int(port) for port in ports if port.isdigit()), _PORT), "keyspace": keyspace}
    login = {"user": unquote(user), "password": unquote(password)} if who else {}
    try:
        place = msgspec.convert({**known, **login, **options}, Place, strict=False)
    except msgspec.ValidationError as error:
        raise WrongUse(f"the database's URL: {error}", f"write {FORM}") from None
    if not all(hosts) or not keyspace.isidentifier() or set(options) - set(Place.__struct_fields__):
        raise WrongUse("the database's URL is not understood", f"write {FORM}")
    return place
