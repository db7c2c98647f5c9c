"""Answers in the envelope that the existing service speaks (docs/reference/api.md), and refusals in it."""

import uuid
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

_SECURITY_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
Api = Literal["analytics.device-register", "analytics.device-profile"]
REGISTER: Api = "analytics.device-register"
PROFILE: Api = "analytics.device-profile"

_CLIENT_ERROR_BELOW = 500


class Refusal(Exception):
    """A request that is not served: the HTTP status, a word for programs, and a sentence that says what to change."""

    def __init__(self, status: int, err: str, errmsg: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(errmsg)
        self.status = status
        self.err = err
        self.retry_after_seconds = retry_after_seconds


class Answer(msgspec.Struct, frozen=True):
    """What is sent back."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Any) -> None:
        """Send it, as ASGI wants it."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *_SECURITY_HEADERS,
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
    return Answer(200, _encode(_Envelope(api, "1.0", _now(), _Params(str(uuid.uuid4())), "OK", result)))


def refused(api: Api, refusal: Refusal) -> Answer:
    """The refusal's status, in the envelope."""
    params = _Params(str(uuid.uuid4()), "failed", None, refusal.err, str(refusal))
    code = "CLIENT_ERROR" if refusal.status < _CLIENT_ERROR_BELOW else "SERVER_ERROR"
    headers: list[tuple[bytes, bytes]] = []
    if refusal.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_seconds))
    if refusal.status == 401:  # noqa: PLR2004 - RFC 9110 wants the challenge with it
        headers.append((b"www-authenticate", b"Bearer"))
    return Answer(refusal.status, _encode(_Envelope(api, "1.0", _now(), params, code, {})), headers=tuple(headers))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
