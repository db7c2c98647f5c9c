"""Reads a chunked body. The framing (sizes, extensions, trailers) is counted, and never kept."""

import re
from typing import TYPE_CHECKING

from devicesync.api.answers import RequestError
from devicesync.api.head import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")


_MAX_LINE_BYTES = 4096
_PIECES_A_TURN = 20
"""Lines and data taken at once: thousands of tiny chunks on a thousand connections would else keep all others waiting."""


class Chunks:
    """One body. max_framing_bytes: how many bytes of framing may come with it.

    whole: the body is complete. more: more bytes may be there to take, after others have had their turn.
    """

    def __init__(self, max_framing_bytes: int) -> None:
        self.whole = self.more = False
        self._left = 0
        self._framing_left = max_framing_bytes
        self._expect: Callable[[bytes], None] = self._size

    def take(self, unread: bytearray, body: bytearray) -> None:
        """Move the body's bytes from `unread` to `body`. Raises RequestError."""
        at, pieces = 0, _PIECES_A_TURN
        while pieces and not self.whole:
            if self._left:
                data = unread[at : at + self._left]
                body += data
                self._left -= len(data)
                end = at + len(data)
            else:
                end = self._line(unread, at)
            if end == at:
                break
            at = end
            pieces -= 1
        del unread[:at]
        self.more = not pieces and not self.whole
        if not self.more and not self.whole and len(unread) > min(self._framing_left, _MAX_LINE_BYTES):
            raise _too_much()

    def _line(self, unread: bytearray, at: int) -> int:
        """Take one line. Return where it ends, or `at` when it is not complete yet."""
        end = unread.find(b"\r\n", at)
        if end < 0:
            return at
        self._framing_left -= end + 2 - at
        if self._framing_left < 0:
            raise _too_much()
        self._expect(bytes(unread[at:end]))
        return end + 2

    def _size(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None:
            raise malformed("a chunk's size is no hexadecimal number")
        self._left = int(size[1], 16)
        self._expect = self._end_of_data if self._left else self._trailer

    def _end_of_data(self, line: bytes) -> None:
        if line:
            raise malformed("a chunk is longer than its size")
        self._expect = self._size

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.whole = True
        elif _TRAILER.fullmatch(line) is None:
            raise malformed("a trailer is not Name: value")


def _too_much() -> RequestError:
    return RequestError(
        431, "FRAMING_TOO_LARGE", "too many bytes of chunk sizes and trailers: send larger chunks, or Content-Length"
    )
