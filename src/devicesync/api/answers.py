"""Answers and errors, in the envelope of the existing service (docs/reference/api.md)."""

import random
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec

from devicesync.clock import SYSTEM
from devicesync.printable import encodable

_HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
PAGE_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""For what a browser shows; JSON goes without."""

Api = Literal["analytics.device-register", "analytics.device-profile"]
REGISTER: Api = "analytics.device-register"
PROFILE: Api = "analytics.device-profile"

_CLIENT_ERROR_BELOW = 500
_RETRY_AFTER_SECONDS = 2


class RequestError(Exception):
    """A request is refused: the HTTP status, a word for programs, and a sentence that says what to change."""

    def __init__(self, status: int, err: str, errmsg: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(errmsg)
        self.status = status
        self.err = err
        self.retry_after_seconds = retry_after_seconds


class PartitionUnavailable(RequestError):
    """The partition of the log that this device's records lie in has no leader."""

    def __init__(self) -> None:
        said = "the part of the log that has this device's registrations is away, and the others are not; try again"
        super().__init__(503, "PARTITION_UNAVAILABLE", said, _RETRY_AFTER_SECONDS)


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Any) -> None:
        """Send it, as ASGI specifies."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *_HEADERS,
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


class _Params(msgspec.Struct):
    resmsgid: str
    status: str = "successful"
    client_key: None = None
    err: str | None = None
    errmsg: str | None = None


class _Envelope(msgspec.Struct):
    id: Api
    ver: str
    ts: str
    params: _Params
    responseCode: str  # noqa: N815 - the wire's name
    result: Any


_encode = msgspec.json.Encoder().encode


def success(api: Api, result: Any) -> Answer:
    """200, with this result."""
    return Answer(200, _encode(_Envelope(api, "1.0", _now(), _Params(_message_id()), "OK", result)))


def refused(api: Api, error: RequestError) -> Answer:
    """The status and the words of the error, in the envelope."""
    params = _Params(_message_id(), "failed", None, error.err, encodable(str(error)))
    code = "CLIENT_ERROR" if error.status < _CLIENT_ERROR_BELOW else "SERVER_ERROR"
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
    if error.status == 401:  # noqa: PLR2004 - RFC 9110 wants the challenge with it
        headers.append((b"www-authenticate", b"Bearer"))
    return Answer(error.status, _encode(_Envelope(api, "1.0", _now(), params, code, {})), headers=tuple(headers))


def _message_id() -> str:
    """A version 4 UUID. The uuid module asks the system each time, which takes ten times as long."""
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _now() -> str:
    seconds, microseconds = divmod(SYSTEM.now_us(), 1_000_000)
    return f"{_second(seconds)}.{microseconds // 1000:03d}+00:00"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
