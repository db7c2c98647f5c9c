"""uvicorn's HTTP protocol with a limit of time and size for a request's head: what slowloris and endless headers exploit."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
MAX_HEAD_BYTES = 32_768


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is not whole after HEAD_SECONDS or MAX_HEAD_BYTES.

    One timer for each connection looks every HEAD_SECONDS, so that a request costs no timer of its own: a head may take twice
    the time.
    """

    _head_bytes = 0
    _in_head = True
    _was_in_head = False
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a first head."""
        super().connection_made(transport)
        self._look = self.loop.call_later(HEAD_SECONDS, self._look_again)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes before the head is whole."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES + len(data):
                self._close()
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head, self._was_in_head, self._head_bytes = False, False, 0
        super().on_headers_complete()

    def _look_again(self) -> None:
        if self._in_head and self._was_in_head:
            self._close()
            return
        self._was_in_head = self._in_head
        self._look = self.loop.call_later(HEAD_SECONDS, self._look_again)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
