"""Where a keyspace is and how it is reached, read from a URL."""

import re
from typing import Literal, get_args

import msgspec

from devicesync.url import Form

_PORT = 9042
_KEYSPACE = re.compile(r"[A-Za-z]\w*", re.ASCII)

Consistency = Literal["ONE", "TWO", "THREE", "QUORUM", "ALL", "LOCAL_QUORUM", "EACH_QUORUM", "LOCAL_ONE"]
_FORM = Form(
    "the database's URL",
    ("cassandra",),
    "cassandra://[USER:PASSWORD@]HOST[:PORT][,…]/KEYSPACE[?consistency=LOCAL_QUORUM&local_dc=NAME&replicas=N&tls=1&ca=FILE], "
    f"with a consistency of {', '.join(get_args(Consistency))}",
    ("consistency", "local_dc", "replicas", "tls", "ca"),
)


class CassandraUrl(msgspec.Struct, frozen=True):
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

    @classmethod
    def parse(cls, text: str) -> "CassandraUrl":
        """Read a database URL. Raises WrongUse."""
        url = _FORM.read(text)
        ports = sorted({port for _, port in url.addresses if port})
        if len(ports) > 1:
            raise _FORM.wrong(text, f"all hosts share one port, and these have {' and '.join(map(str, ports))}")
        if not _KEYSPACE.fullmatch(url.path):
            raise _FORM.wrong(text, "a keyspace is named by letters, digits and '_', and begins with a letter")
        known = {"hosts": [host for host, _ in url.addresses], "port": ports[0] if ports else _PORT, "keyspace": url.path}
        return _FORM.convert(text, known | {"user": url.user, "password": url.password} | url.options, cls)
