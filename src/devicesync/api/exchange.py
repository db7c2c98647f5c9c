"""One request and its answer, between a connection and an ASGI application."""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

import structlog

from devicesync.api.answers import REGISTER, Answer, RequestError, refused
from devicesync.api.head import Head
from devicesync.clock import SYSTEM

PIECE_BYTES = 65_536
"""A body is handed over whole, or in pieces larger than this: many small packets cost no memory."""

_LONGEST_PATH = 2048
"""No longer path leads anywhere, and decoding 32 KiB takes 25 ms."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}
_log: Any = structlog.get_logger("devicesync")


class Line(Protocol):
    """The connection that a request came on."""

    def write(self, data: bytes) -> None:
        """Send this."""

    def pace(self) -> None:
        """Read on, or pause, depending on the room that is left."""

    def answered(self, *, last: bool) -> None:
        """The answer is written. last: nothing more is read on this connection."""


class Exchange:
    """body: bytes that the application has not taken yet. whole: the body is complete. gone: the client has left."""

    def __init__(self, line: Line, head: Head) -> None:
        self.body = bytearray()
        self.whole = head.length == 0
        self.gone = False
        self.keep_alive = head.keep_alive
        self._line = line
        self._head = head
        self._expects_continue = head.expects_continue
        self._task: asyncio.Task[None] | None = None
        self._taken = False
        self._answered = False
        self._news: asyncio.Future[None] | None = None
        self._status = 500
        self._headers: Any = ()
        self._content: list[bytes] = []

    def start(self, app: Callable[..., Any], client: Any, server: Any) -> None:
        """Start the application on this request."""
        scope = _scope(self._head, client, server)
        self._task = asyncio.get_running_loop().create_task(self._run(app, scope))

    async def _run(self, app: Callable[..., Any], scope: Any) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - whatever it is, the next request is served
            _log.exception("a fault")
        if not self._answered and not self.gone:
            await refused(REGISTER, RequestError(500, "INTERNAL", "a fault of this service; it is in its log")).send(self.send)

    def leave(self) -> None:
        """The client has left. What only reads is given up; what writes goes on, since half of it may be done."""
        self.gone = True
        self.news()
        if self._task is not None and self._head.method in ("GET", "HEAD"):
            self._task.cancel()

    def news(self) -> None:
        """Bytes have come, or the client has left."""
        if self._news is not None and not self._news.done() and self._is_due():
            self._news.set_result(None)

    async def receive(self) -> dict[str, Any]:
        """As ASGI specifies: the body, then that the client has left."""
        if self._expects_continue and not self._is_due() and not self.body:
            self._line.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects_continue = False
        while not self._is_due():
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        if self.gone or self._taken:
            return {"type": "http.disconnect"}
        piece, self._taken = bytes(self.body), self.whole
        self.body.clear()
        self._line.pace()
        return {"type": "http.request", "body": piece, "more_body": not self.whole}

    async def send(self, message: dict[str, Any]) -> None:
        """As ASGI specifies. The answer goes out in one piece."""
        if message["type"] == "http.response.start":
            self._status, self._headers, self._content = message["status"], message.get("headers", ()), []
            return
        self._content.append(message.get("body", b""))
        if not message.get("more_body") and not self._answered and not self.gone:
            self._answered = True
            self._line.write(self._answer(last=not (self.keep_alive and self.whole)))
            self._line.answered(last=not (self.keep_alive and self.whole))

    def _is_due(self) -> bool:
        return self.gone or (not self._taken and (self.whole or len(self.body) > PIECE_BYTES))

    def _answer(self, *, last: bool) -> bytes:
        content = b"".join(self._content)
        parts = [_status_line(self._status), _date(SYSTEM.now_ms() // 1000)]
        parts += [b"%b: %b\r\n" % pair for pair in self._headers]
        if not any(name == b"content-length" for name, _ in self._headers):
            parts.append(b"content-length: %d\r\n" % len(content))
        parts.append(b"connection: close\r\n\r\n" if last else b"\r\n")
        if self._head.method != "HEAD":
            parts.append(content)
        return b"".join(parts)


def bare(answer: Answer) -> bytes:
    """The answer to bytes that are no request. It is the last one on its connection."""
    head = (
        _status_line(answer.status) + _date(SYSTEM.now_ms() // 1000) + b"".join(b"%b: %b\r\n" % pair for pair in answer.headers)
    )
    described = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (answer.content_type, len(answer.body))
    return head + described + answer.body


def _scope(head: Head, client: Any, server: Any) -> dict[str, Any]:
    raw_path, _, query = head.target.partition(b"?")
    path = raw_path.decode("latin-1")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": head.version,
        "server": server,
        "client": client,
        "scheme": "http",
        "method": head.method,
        "root_path": "",
        "path": unquote(path) if "%" in path and len(path) <= _LONGEST_PATH else path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": head.headers,
    }


@lru_cache(64)
def _status_line(status: int) -> bytes:
    return b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())


@lru_cache(1)
def _date(seconds: int) -> bytes:
    return b"date: %b\r\n" % formatdate(seconds, usegmt=True).encode()
