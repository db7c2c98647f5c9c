"""Reads a request: the device's id from the path, the headers, and a body within limits of size and time."""

import asyncio
from typing import Any
from urllib.parse import unquote_to_bytes

from devicesync.api.answers import RequestError
from devicesync.law.event import MAX_BYTES, check_id
from devicesync.law.refusal import Refused

BODY_SECONDS = 10.0
"""A body must be there in this time."""

_DIGITS = 10
_LONGEST = 1000
"""Bytes of a path that are decoded: more than 256 bytes of id in any encoding, so that a longer one is refused as it is."""

Headers = dict[bytes, bytes]
"""By lower-case name; of a header sent twice the last."""


def device_id_of(scope: Any, prefix: bytes) -> str:
    """The id that follows `prefix` in the path, percent-decoded: what the law takes, and no slash that is not encoded."""
    raw: bytes = scope["raw_path"][len(prefix) :]
    if b"/" in raw:
        raise RequestError(404, "NOT_FOUND", "there is nothing at this path; a slash in a device id is written %2F")
    try:
        device_id = unquote_to_bytes(raw[:_LONGEST]).decode()
        check_id(device_id)
    except UnicodeDecodeError:
        raise RequestError(400, "INVALID_DEVICE_ID", "the device id in the path is not UTF-8") from None
    except Refused as refused:
        raise RequestError(400, refused.reason.upper(), refused.detail) from None
    return device_id


async def json_body(headers: Headers, receive: Any) -> bytes:
    """Return the body's bytes. The request must say that they are JSON, or say nothing about it."""
    media, _, parameters = (headers.get(b"content-type") or b"application/json").decode("latin-1").lower().partition(";")
    if media.strip() != "application/json" or parameters.replace('"', "").strip() not in ("", "charset=utf-8"):
        raise RequestError(415, "UNSUPPORTED_MEDIA_TYPE", "send the body as Content-Type: application/json, in UTF-8")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RequestError(415, "UNSUPPORTED_ENCODING", "send the body as it is, without Content-Encoding")
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and (len(announced) > _DIGITS or int(announced) > MAX_BYTES):
        raise _too_large()
    deadline = _Deadline()
    try:
        return await _body(receive)
    except asyncio.CancelledError:
        if not deadline.passed:
            raise
        deadline.task.uncancel()
        raise RequestError(408, "REQUEST_TIMEOUT", f"the body did not arrive within {BODY_SECONDS:.0f} s") from None
    finally:
        deadline.timer.cancel()


class _Deadline:
    """Cancels its task after BODY_SECONDS. As asyncio.timeout does, in a third of its 5 µs."""

    def __init__(self) -> None:
        self.passed = False
        self.task: Any = asyncio.current_task()
        self.timer = asyncio.get_running_loop().call_later(BODY_SECONDS, self._pass)

    def _pass(self) -> None:
        self.passed = True
        self.task.cancel()


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "INCOMPLETE_BODY", "the connection ended before the body")
        size += len(message.get("body", b""))
        if size > MAX_BYTES:
            raise _too_large()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large() -> RequestError:
    return RequestError(413, "TOO_LARGE", f"the body may have {MAX_BYTES} bytes at most")
