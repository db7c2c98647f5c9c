"""HTTP/1.1 on one connection. A request is read when the client has taken the answer before it. Everything is bounded.

A connection holds at most one head and one read, or one piece of a body and one read, and one answer.
"""

import asyncio
from typing import Any

from devicesync.api import head, taken
from devicesync.api.answers import REGISTER, RequestError, refused
from devicesync.api.chunks import Chunks
from devicesync.api.connections import Door
from devicesync.api.exchange import PIECE_BYTES, Exchange, bare

HEAD_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0
WRITE_SECONDS = 10.0
"""An answer must be taken in this time."""

LINGER_SECONDS = 2.0
MAX_LINGER_BYTES = 2 << 20
"""What is still read, and thrown away, after an early error: closed at once, the client would not see the answer."""

MAX_HEAD_BYTES = 32_768
"""Of a head, and of all that is no body after it."""

_GONE = "", 0
_FULL = RequestError(503, "TOO_MANY_CONNECTIONS", "too many connections are open", 2)


class Connection(asyncio.BufferedProtocol):
    """One connection of a door."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._client = self._server = _GONE
        self._unread = bytearray()
        self._exchange: Exchange | None = None
        self._chunks: Chunks | None = None
        self._left = self._searched = 0
        self._since = self._loop.time()
        self._limit_seconds = HEAD_SECONDS
        self._unsent_since: float | None = None
        self._linger_bytes = -1
        self._ended = self._paused = False

    def connection_made(self, transport: Any) -> None:
        """Wait for the first head, if there is room."""
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        self._client = transport.get_extra_info("peername", _GONE)[:2]
        self._server = transport.get_extra_info("sockname")[:2]
        if self._client == _GONE:
            transport.abort()
        elif not self._door.admit(self, self._client[0], self._since):
            transport.write(bare(refused(REGISTER, _FULL)))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        del exc
        self._door.leave(self)
        self._door.unsent.note(self, 0)
        self._unread.clear()
        if self._exchange is not None:
            self._exchange.leave()

    def get_buffer(self, sizehint: int) -> bytearray:
        """All connections share one buffer, because the bytes are taken out at once."""
        del sizehint
        return self._door.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        if self._linger_bytes >= 0:
            self._throw_away(nbytes)
            return
        self._unread += memoryview(self._door.buffer)[:nbytes]
        self._advance()

    def eof_received(self) -> bool:
        """The client sends no more; it may still wait for an answer."""
        self._ended = True
        if self._linger_bytes >= 0:
            taken.close_if_taken(self._transport)
        elif self._exchange is not None and not self._exchange.whole:
            self._end_without_request()
        else:
            self._advance()
        return True

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        self._unsent_since = self._loop.time()

    def resume_writing(self) -> None:
        """The client has taken all of it."""
        self._unsent_since = None
        self._door.unsent.note(self, 0)
        self._since = self._loop.time()
        self._advance()

    def write(self, data: bytes) -> None:
        """Send this."""
        self._transport.write(data)
        # Of a piece that is taken in part, the whole is held.
        self._door.unsent.note(self, len(data) if self._transport.get_write_buffer_size() else 0)

    def answered(self, *, last: bool) -> None:
        """The answer is written. Go on with the next request, or end."""
        whole = self._exchange is not None and self._exchange.whole
        self._exchange = None
        if last:
            self._end(at_once=whole)
            return
        self._wait(HEAD_SECONDS if self._unread else KEEP_ALIVE_SECONDS)
        self._advance()

    def pace(self) -> None:
        """Read at most one request ahead, and one piece of its body."""
        exchange = self._exchange
        if exchange is not None and not exchange.whole:
            pause = len(exchange.body) > PIECE_BYTES or (self._chunks is not None and self._chunks.more)
        else:
            pause = bool(self._unread) and (exchange is not None or self._unsent_since is not None)
        if pause != self._paused and not self._ended and not self._transport.is_closing():
            self._paused = pause
            (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def look(self, now: float) -> None:
        """End what takes too long."""
        if self._unsent_since is not None:
            if now - self._unsent_since > WRITE_SECONDS:
                self.cut_off()
        elif self._exchange is None and now - self._since > self._limit_seconds:
            self.cut_off()
        elif self._linger_bytes >= 0 and (self._ended or self._limit_seconds == WRITE_SECONDS):
            taken.close_if_taken(self._transport)

    def has_taken_all(self) -> bool:
        """Whether the client has all answers."""
        return self._transport.is_closing() or taken.is_all_taken(self._transport)

    def cut_off(self) -> None:
        """End it now, and throw away what the client has not taken: the system would keep it."""
        if not self._transport.is_closing() and not taken.is_all_taken(self._transport):
            taken.throw_away(self._transport)
        self._transport.abort()

    def close(self) -> None:
        """End it now. The system goes on to give the client what was written."""
        self._transport.abort()

    def stop(self) -> None:
        """End it now, or after the answer to a whole request."""
        if self._exchange is not None and self._exchange.whole:
            self._exchange.keep_alive = False
        else:
            self.close()

    def _advance(self) -> None:
        try:
            if self._exchange is None:
                self._begin()
            elif not self._exchange.whole:
                self._feed(self._exchange)
        except RequestError as error:
            self._refuse(error)
            return
        self.pace()

    def _begin(self) -> None:
        if self._unsent_since is not None or self._transport.is_closing() or self._linger_bytes >= 0:
            return
        if not self._searched and self._unread[:2] == b"\r\n":
            del self._unread[:2]
        end = self._unread.find(b"\r\n\r\n", self._searched)
        self._searched = max(len(self._unread) - 3, 0)
        if (len(self._unread) if end < 0 else end) > MAX_HEAD_BYTES:
            raise RequestError(431, "HEAD_TOO_LARGE", f"a request's head may have {MAX_HEAD_BYTES} bytes at most")
        if end >= 0:
            self._take(head.read(bytes(self._unread[: end + 2])), end + 4)
        elif self._ended:
            self._end_without_request()
        elif self._unread and self._limit_seconds != HEAD_SECONDS:
            self._wait(HEAD_SECONDS)

    def _take(self, asked: head.Head, length: int) -> None:
        del self._unread[:length]
        self._searched = 0
        exchange = self._exchange = Exchange(self, asked)
        exchange.keep_alive &= not self._door.stopping
        self._chunks = Chunks(MAX_HEAD_BYTES) if asked.length == head.CHUNKED else None
        self._left = asked.length
        self._feed(exchange)
        if not exchange.whole:
            self._door.waits(self, is_idle=False)
        exchange.start(self._door.app, self._client, self._server)

    def _feed(self, exchange: Exchange) -> None:
        if self._chunks is not None:
            self._chunks.take(self._unread, exchange.body)
            exchange.whole = self._chunks.whole
            if self._chunks.more:
                self._loop.call_soon(self._advance)
        elif self._left:
            data = self._unread[: self._left]
            exchange.body += data
            del self._unread[: len(data)]
            self._left -= len(data)
            exchange.whole = not self._left
        if exchange.whole:
            self._door.busy(self)
        exchange.news()

    def _wait(self, seconds: float) -> None:
        self._since, self._limit_seconds = self._loop.time(), seconds
        self._door.waits(self, is_idle=not self._unread)

    def _refuse(self, error: RequestError) -> None:
        """Answer bytes that are no request, and close."""
        self._transport.write(bare(refused(REGISTER, error)))
        self._end_without_request()

    def _end_without_request(self) -> None:
        if self._exchange is not None:
            self._exchange.leave()
            self._exchange = None
        self._unread.clear()
        self._end(at_once=True)

    def _end(self, *, at_once: bool) -> None:
        """End it: at once where the client has taken the last answer. Else it counts as open until then."""
        at_once = at_once and not self._unread
        if at_once and taken.close_if_taken(self._transport):
            return
        self._unread.clear()
        self._linger_bytes = 0
        self._wait(WRITE_SECONDS if at_once else LINGER_SECONDS)
        self._transport.write_eof()
        self.pace()

    def _throw_away(self, count: int) -> None:
        self._linger_bytes += count
        if self._linger_bytes > MAX_LINGER_BYTES:
            self.cut_off()
