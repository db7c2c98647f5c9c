"""Server URLs, read alike for Kafka, Cassandra and Redis: SCHEME://[USER:PASSWORD@]HOST[:PORT][,…]/PATH[?OPTION=VALUE&…].

The login ends at the last @, so a password may hold / and @ as they are. %XX stands for a byte in a login or an option.
"""

import re
from collections.abc import Collection, Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from devicesync.errors import WrongUse
from devicesync.printable import encodable

T = TypeVar("T")

_LAST_PORT = 65_535
_PORT = re.compile(r"\d{1,5}", re.ASCII)
_PASSWORD = re.compile(r"(//[^:/]*):(.*)@", re.DOTALL)
_VALUE = re.compile(r"([?&#;][^?&#;=]*)(=[^&]*)")
_FRAGMENT = re.compile(r"(#)([^#]+)", re.DOTALL)
_SECRET_VALUE = re.compile(r"([?&#;][^?&#;=]*(?:pass|secret|token|signature)[^?&#;=]*)=[^&]*", re.IGNORECASE)
_OF_OTHERS = re.compile(r"(?:^|:)https?:/", re.IGNORECASE)
_SCHEME = re.compile(r"[\w+.-]*", re.ASCII)
_HOST_AND_PORT = re.compile(r"(?:\[[^\[\]]*\]|[^:\[\]]*)(?::\d{0,5})?", re.ASCII)
_ADDRESS = re.compile(r"(?:\[([^\[\]]+)\]|([^\s:\[\]]+))(?::(.*))?", re.DOTALL)


class Address(NamedTuple):
    """A server. An IPv6 address stands without brackets; the port is None where the URL names none."""

    host: str
    port: int | None


class ServerUrl(NamedTuple):
    """The parts of a URL. At least one address; user and password are None without a login."""

    scheme: str
    user: str | None
    password: str | None
    addresses: list[Address]
    path: str
    options: dict[str, str]


class Form(NamedTuple):
    """How the URLs of one kind are written. `example`: what a hint shows. `options`: all that may follow the question mark."""

    what: str
    schemes: Collection[str]
    example: str
    options: Collection[str]

    def read(self, url: str) -> ServerUrl:
        """The parts of the URL. Raises WrongUse."""
        try:
            return _read(url, self)
        except ValueError as problem:
            raise self.wrong(url, str(problem)) from None

    def convert(self, url: str, parts: Mapping[str, Any], kind: type[T]) -> T:
        """A `kind` of these parts, texts turned into what its fields are. Raises WrongUse."""
        try:
            return msgspec.convert(parts, kind, strict=False)
        except msgspec.ValidationError as error:
            name = str(error).rpartition("$.")[2].rstrip("`")
            raise self.wrong(url, f"{name} can't be {parts[name]!r}") from None

    def wrong(self, url: str, problem: str) -> WrongUse:
        """The error that says what is wrong with the URL, and how one is written."""
        return WrongUse(f"{self.what} {masked_wrong(url)!r} is not understood: {problem}", f"write {self.example}")


def authority(host: str, port: int) -> str:
    """HOST:PORT, with the brackets of an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def masked(url: str) -> str:
    """The URL with asterisks for its password, wherever the login stands, and for options that are secret by their names.

    In another's URL, https://…, any may be. It may be written down: what is no UTF-8 is shown as printable.encodable does it.
    """
    shown = encodable(_SECRET_VALUE.sub(r"\1=***", _PASSWORD.sub(r"\1:***@", url)))
    return _without_values(shown) if _OF_OTHERS.search(shown) else shown


def masked_wrong(url: str) -> str:
    """A URL that can't be read, with asterisks for all that may be a password, also where its @ or a slash is missing."""
    scheme, separator, rest = masked(url).partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        scheme, colon, rest = url.partition(":")
        return f"{scheme}{colon}{'***' if rest else ''}"
    login, at, after = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    servers = after.partition("?")[0].partition("/")[0].split(",")
    if not all(map(_HOST_AND_PORT.fullmatch, servers)):
        after = f"{after.partition(':')[0]}:***"
    return f"{scheme}://{user if colon else ''}{colon}{'***' if at and login else ''}{at}{after}"


def masked_place(place: str) -> str:
    """A backup's place with asterisks for its password, every option's value and what follows a #: any of them may be a key."""
    return _without_values(masked(place)) if "://" in place else masked(place)


def masked_word(word: str) -> str:
    """A word that may be a URL in a wrong place, with asterisks for all that may be secret in it."""
    return masked_wrong(masked_place(word)) if "@" in word or "://" in word else word


def masked_text(text: str) -> str:
    """A message in which a URL with its login may stand as a path, with one slash: asterisks stand for what may be secret."""
    return " ".join(masked_word(word) if "@" in word and ":***@" not in word else word for word in text.split(" "))


def file_of(text: str) -> Path:
    """The file that an argument names. Raises WrongUse for a URL, which it does not repeat, and for no file's name."""
    if "://" in text:
        raise WrongUse("a URL stands where a file belongs", "name a file")
    path = Path(text)
    if not path.name:
        raise WrongUse(f"{text or 'nothing'} stands where a file belongs", "name a file")
    return path


def secrets_in(place: str) -> list[str]:
    """What masked_place replaces, as messages of a library may have it, the longest first. An option's value begins with =.

    A place may be a chain of URLs: simplecache::https://USER:PASSWORD@HOST/PATH.
    """
    links = [place, *place.split("::")] if "://" in place else []
    found = [match[2] for link in links for each in (_PASSWORD, _VALUE, _FRAGMENT) for match in each.finditer(link)]
    forms = {form for secret in found for form in (secret, unquote(secret), quote(secret, safe="=")) if form.strip("=")}
    return sorted(forms, key=len, reverse=True)


def _without_values(url: str) -> str:
    return _FRAGMENT.sub(r"\1***", _VALUE.sub(r"\1=***", url))


def _read(url: str, form: Form) -> ServerUrl:
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError("it does not begin with a name and ://")
    if scheme not in form.schemes:
        raise ValueError(f"it can't begin with {scheme}://")
    login, _, after = rest.rpartition("@")
    before, _, query = after.partition("?")
    servers, _, path = before.partition("/")
    addresses = [_address(server) for server in servers.split(",")]
    return ServerUrl(scheme, *_login(login), addresses, path, _options(query, form.options))


def _login(text: str) -> tuple[str | None, str | None]:
    user, colon, password = text.partition(":")
    if text and not colon:
        raise ValueError("a user without a password")
    return unquote(user) or None, unquote(password) or None


def _address(text: str) -> Address:
    if text.count(":") > 1 and not text.startswith("["):
        raise ValueError("an IPv6 address stands in brackets")
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise ValueError(f"{text.partition(':')[0]!r} is no host" if text else "a host is missing")
    ipv6, host, port = found.groups()
    if ipv6:
        _check_ipv6(ipv6)
    return Address(ipv6 or host, None if port is None else _port(port, ipv6 or host))


def _check_ipv6(address: str) -> None:
    try:
        IPv6Address(address)
    except ValueError:
        raise ValueError("no IPv6 address stands in the brackets") from None


def _port(text: str, host: str) -> int:
    """The port of that host. What is none is not repeated: it may be a password."""
    if not _PORT.fullmatch(text) or not 0 < int(text) <= _LAST_PORT:
        raise ValueError(f"the port of {host!r} is no number from 1 to {_LAST_PORT}")
    return int(text)


def _options(query: str, known: Collection[str]) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            raise ValueError(f"there is no option {name!r}")
    return options
