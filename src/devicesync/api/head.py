"""Reads a request's head strictly. A head that two servers read differently can smuggle a request in (RFC 9112)."""

import re
from typing import NamedTuple

from devicesync.api.answers import RequestError

MAX_HEADERS = 100
CHUNKED = -1
"""The length of a body that says itself where it ends."""

_LENGTH_DIGITS = 15
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") (?:https?://[!$-.0->@-~]+)?(/[!\"$-~]*|\*) HTTP/1\.([01])")
_HEADER = re.compile(rb"(?m)^(" + _TOKEN + rb"):([^\x00-\x08\x0a-\x1f\x7f]*)\r$")
_ONCE = (b"host", b"content-length", b"transfer-encoding")

Pairs = list[tuple[bytes, bytes]]


class Head(NamedTuple):
    """What a head says. headers: names in lower case, and values. length: of the body in bytes, or CHUNKED."""

    method: str
    target: bytes
    version: str
    headers: Pairs
    length: int
    keep_alive: bool
    expects_continue: bool


def read(raw: bytes) -> Head:
    """Read these lines, each with its CRLF, without the empty one. `Upgrade` is ignored: we speak HTTP/1.1 only.

    Raises RequestError.
    """
    line, _, lines = raw.partition(b"\r\n")
    asked = _REQUEST_LINE.fullmatch(line)
    if asked is None:
        raise malformed("the request line is not METHOD /path HTTP/1.1")
    method, target, minor = asked.groups()
    headers = _headers(lines)
    named = dict(headers)
    if len(named) < len(headers):
        _check_once(headers)
        named[b"connection"] = b",".join(value for name, value in headers if name == b"connection")
    if minor == b"1" and b"host" not in named:
        raise malformed("the Host header is missing")
    return Head(
        method.decode(),
        target,
        "1." + minor.decode(),
        headers,
        _length(named, minor),
        minor == b"1" and b"close" not in named.get(b"connection", b"").lower(),
        minor == b"1" and named.get(b"expect", b"").lower() == b"100-continue",
    )


def malformed(what: str) -> RequestError:
    """The error for bytes that are not HTTP/1.1."""
    return RequestError(400, "MALFORMED_HTTP", what)


def _headers(lines: bytes) -> Pairs:
    count = lines.count(b"\n")
    if count > MAX_HEADERS:
        raise RequestError(431, "HEAD_TOO_LARGE", f"a request may have {MAX_HEADERS} headers at most")
    found = _HEADER.findall(lines)
    if len(found) != count:
        raise malformed("a header is not Name: value")
    return [(name.lower(), value.strip(b" \t")) for name, value in found]


def _check_once(headers: Pairs) -> None:
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise malformed(f"{name.decode()} may be there once")


def _length(named: dict[bytes, bytes], minor: bytes) -> int:
    coding, length = named.get(b"transfer-encoding"), named.get(b"content-length")
    if coding is not None:
        if length is not None or minor == b"0" or coding.lower() != b"chunked":
            raise malformed("Transfer-Encoding may be chunked, in HTTP/1.1, without Content-Length")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit():
        raise malformed("Content-Length is no number")
    if len(length) > _LENGTH_DIGITS:
        raise RequestError(413, "TOO_LARGE", "Content-Length says more than anybody may send")
    return int(length)
