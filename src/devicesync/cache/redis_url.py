"""Where Redis is, and how it is reached, read from a URL."""

from typing import Literal, get_args

import msgspec

from devicesync.url import Form, ServerUrl

_FORMS = (
    "redis://[USER:PASSWORD@]HOST:PORT/DB",
    "redis+cluster://HOST:PORT[,…]",
    "redis+sentinel://HOST:PORT[,…]/SERVICE/DB",
    "with TLS rediss://…, rediss+cluster://…, rediss+sentinel://…, each with ?ca=FILE for certificates of your own",
)
_DATABASE = 2
_PORT = 6379

Kind = Literal["", "cluster", "sentinel"]
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}
_SCHEMES = [f"{scheme}+{kind}".rstrip("+") for scheme in ("redis", "rediss") for kind in _KINDS]


class RedisUrl(msgspec.Struct, frozen=True):
    """A cache URL. `ca`: a PEM file of certificates to trust instead of the system's, with `tls`."""

    kind: Kind
    hosts: list[tuple[str, int]]
    tls: bool
    service: str = ""
    database: int = 0
    user: str | None = None
    password: str | None = None
    ca: str | None = None

    @classmethod
    def parse(cls, text: str) -> "RedisUrl":
        """Read a cache URL. Raises WrongUse."""
        tls = text.startswith("rediss")
        form = Form("the cache's URL", _SCHEMES, " or ".join(_FORMS), ("ca",) if tls else ())
        url = form.read(text)
        try:
            kind = _kind(url)
            service, database = _path(kind, url.path)
        except ValueError as problem:
            raise form.wrong(text, str(problem)) from None
        hosts = [(host, port or _PORT) for host, port in url.addresses]
        return cls(kind, hosts, tls, service, database, url.user, url.password, url.options.get("ca"))


def _kind(url: ServerUrl) -> Kind:
    kind = url.scheme.partition("+")[2]
    if not kind and len(url.addresses) > 1:
        raise ValueError("this is one server")
    return _KINDS[kind]


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """The service that Sentinel knows, and the number of the database."""
    if kind == "cluster":
        if path not in ("", "0"):
            raise ValueError("a Cluster has database 0 only")
        return "", 0
    service, _, number = path.partition("/") if kind == "sentinel" else ("", "", path)
    if kind == "sentinel" and not service:
        raise ValueError("the service is missing")
    if number and not (number.isascii() and number.isdigit()):
        raise ValueError(f"{number!r} is no database: a number is")
    return service, int(number or _DATABASE)
