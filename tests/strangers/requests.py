"""What a stranger may ask of the API, and which statuses each of it may be answered."""

import json
import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from devicesync.api.connections import READ_BYTES
from devicesync.api.protocol import MAX_LINGER_BYTES

_DEVICES = 40
_REGISTER, _PROFILE = b"/v1/device/register/", b"/v1/device/profile/"
_CHUNKED = b"Transfer-Encoding: chunked"


class Asked(NamedTuple):
    """Bytes of a request. may: the statuses of its answer. device: whom it registers or reads. is_last: no other is answered."""

    data: bytes
    may: set[int]
    device: str = ""
    is_last: bool = False

    @property
    def method(self) -> bytes:
        """As it says."""
        return self.data.partition(b" ")[0]


Kind = Callable[[Random], Asked]


def register(device: str, spec: bytes, *odd: bytes) -> Asked:
    """A valid registration, which names its device also as its producer: so a profile shows whose it is."""
    body = b'{"request":{"producer":"%b","dspec":%b}}' % (device.encode(), spec)
    head = _head(b"POST", _REGISTER + device.encode(), b"Content-Length: %d" % len(body), *odd)
    return Asked(head + body, {200}, device, is_last=b"close" in head)


def read(device: str, query: bytes = b"", *odd: bytes, may: set[int] | None = None) -> Asked:
    """A read of its profile."""
    head = _head(b"GET", _PROFILE + device.encode() + query, *odd)
    return Asked(head, may or {200}, device, is_last=b"close" in head)


def _registration(chance: Random) -> Asked:
    return register(_device(chance), _spec(chance), *_odd(chance))


def _of_numbers(chance: Random) -> Asked:
    """Numbers that take a reader long, or that it can't hold."""
    number = chance.choice([b"1e308", b"1.7e-308", b"1e999", b"9" * 900])
    return register(_device(chance), b'{"k":[%b]}' % b",".join([number] * (chance.choice([1900, 40_000]) // len(number) // 2)))


def _in_chunks(chance: Random) -> Asked:
    """Valid, with an extension and a trailer."""
    asked = register(_device(chance), _spec(chance))
    head, _, body = asked.data.partition(b"\r\n\r\n")
    most = chance.choice([len(body) // 20, 70_000])
    pieces = [body[at : at + most] for at in range(0, len(body), most)]
    chunks = b"".join(b"%x ;x=%x\r\n%b\r\n" % (len(piece), len(piece), piece) for piece in pieces)
    data = head.replace(b"Content-Length: %d" % len(body), _CHUNKED) + b"\r\n\r\n" + chunks + b"0\r\nContent-Length: 9\r\n\r\n"
    return asked._replace(data=data)


def _profile(chance: Random) -> Asked:
    """Also one that is not there yet, or never will be."""
    now = time.time_ns() // 1000
    at, may = chance.choice([(0, {200}), (now, {200, 504}), (now + 1_000_000, {200, 504}), (now * 2, {400})])
    return read(_device(chance), b"?min_version=%d" % at, *_odd(chance), may=may)


def _elsewhere(chance: Random) -> Asked:
    """What is no call, or not for strangers."""
    head, profile = chance.choice([b"GET", b"HEAD"]), _PROFILE + b"d1"
    pages = [(head, b"/", 200), (head, b"/openapi.json", 200), (head, profile, 200), (head, b"/nothing", 404)]
    method, path, status = chance.choice(
        [*pages, (b"POST", b"/", 405), (b"DELETE", profile, 403), (b"GET", _PROFILE + b"%ff", 400)]
    )
    return Asked(_head(method, path), {status})


def _no_registration(chance: Random) -> Asked:
    """A body that can't be read, or is too large."""
    bodies = [b"", b"[1]", b"\xff", b'{"request":' * 3000, b"9" * 5000, b'{"a":"' + b"\\" * 999]
    body, status = chance.choice([*((body, 400) for body in bodies), (b" " * 65_537, 413), (b" " * 3_000_000, 413)])
    return Asked(_head(b"POST", _REGISTER + b"odd", b"Content-Length: %d" % len(body)) + body, {status})


def _no_request(chance: Random) -> Asked:
    """What is not HTTP/1.1, and heads and chunks that are too long."""
    chunks = _head(b"POST", _REGISTER + b"odd", _CHUNKED)
    long = [b"1;" + b"e" * 9000, b"1\r\na\r\n" * 9000, b"0\r\n" + b"A: b\r\n" * 9000]
    wrong = [chunks + rest for rest in (b"x\r\n", b"1\r\nab\r\n", b"0\r\nno trailer\r\n")]
    heads = [_head(b"GET", b"/", *headers) for headers in ([b"A: " + b"b" * 40_000], [b"A: b"] * 101)]
    others = [b"PRI * HTTP/2.0\r\n\r\n", _head(b"GET", b"/", b"Host: y"), _head(b"GET", b"/", b"Content-Length: -1")]
    data = chance.choice([*wrong, *heads, *others, *(chunks + rest for rest in long)])
    return Asked(data, {400, 431}, is_last=True)


def junk_after_the_end(_: Random) -> Asked:
    """A little more than is read and thrown away: when it is cut off, the system has nothing left to read."""
    return Asked(b"X\r\n\r\n" + b"j" * (MAX_LINGER_BYTES + READ_BYTES), {400}, is_last=True)


KINDS: tuple[Kind, ...] = (
    _registration,
    _of_numbers,
    _in_chunks,
    _profile,
    _elsewhere,
    _no_registration,
    _no_request,
    junk_after_the_end,
)


def _device(chance: Random) -> str:
    return f"d{chance.randrange(_DEVICES)}"


def _spec(chance: Random) -> bytes:
    """A long text, a long list, or many keys."""
    size = chance.choice([0, 10, 500, 1900, 3000, 20_000])
    letter = json.dumps(chance.choice(["a", "\U0001f600", '"', "\u0001"]), ensure_ascii=False)[1:-1].encode()
    each = chance.choice([b"1", b"[]", b"{}", b'"\\ud800"', b"null"])
    text, items = letter * (size // len(letter)), b",".join([each] * (size // (len(each) + 1)))
    keys = b",".join(b'"%x":"%x"' % (key, key) for key in range(size // 12))
    return chance.choice([b'{"k":"%b"}' % text, b'{"k":[%b]}' % items, b"{%b}" % keys])


def _odd(chance: Random) -> list[bytes]:
    """Headers that change nothing, but for the last ones: then no other request is answered."""
    upgrade = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"]
    agents = [b"User-Agent: " + agent for agent in (b"\xff", b"Mozilla/5.0 (" + b"1." * 500)]
    some = [[], [], [agents[0]], [agents[1]], upgrade, [b"Expect: 100-continue"], [b"X-A: " + b"b" * 30_000], [b"X-A: b"] * 90]
    return chance.choice([*some, [b"Connection: close"]])


def _head(method: bytes, path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"%b %b HTTP/1.1" % (method, path), b"Host: x", *headers, b"", b""])
