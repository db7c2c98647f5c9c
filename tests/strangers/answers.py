"""What comes on one connection, and whether it may come."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tests.strangers.requests import Asked

AT_ANY_TIME = {503, 408}
"""What any request may be answered: too many are there, or it comes too slowly."""

_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) [^\r]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_VERSION = re.compile(rb'"version":(\d+)')


class Answered(NamedTuple):
    """An answer that came whole. is_last: it says so."""

    status: int
    body: bytes
    is_last: bool

    @property
    def version(self) -> int:
        """0 where it has none."""
        found = _VERSION.search(self.body)
        return int(found[1]) if found else 0


class Answers:
    """Those to these requests, in their order. sent: how many of the requests' bytes are sent.

    acknowledged: (device, version) of each registration that was answered so.
    """

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.asked = asked
        self.sent = 0
        self.taken: list[Answered] = []
        self.acknowledged: list[tuple[str, int]] = []
        self._left = b""

    @property
    def are_all_there(self) -> bool:
        """Whether none will come any more."""
        return len(self.taken) == len(self.asked) or (bool(self.taken) and self.taken[-1].is_last)

    def take(self, data: bytes) -> None:
        """Look at these bytes, after those before."""
        self._left += data
        while self._left and (answer := self._next()) is not None:
            assert len(self.taken) < len(self.asked), f"an answer to nothing: {answer}"
            self._check(answer, self.asked[len(self.taken)])
            self.taken.append(answer)

    def _next(self) -> Answered | None:
        assert not self.taken or not self.taken[-1].is_last, f"after Connection: close came {self._left[:80]!r}"
        head, found, rest = self._left.partition(b"\r\n\r\n")
        if not found:
            return None
        status = _STATUS.match(head + b"\r\n")
        assert status, f"no answer: {head[:80]!r}"
        if status[1] == b"100":
            self._left = rest
            return self._next()
        is_last = b"\r\nconnection: close" in head
        length = _LENGTH.search(head)
        assert length, head
        # Whoever is refused at the door is told so before anybody has read that it asks for a head alone.
        is_whole = self.asked[len(self.taken)].method != b"HEAD" or (status[1] == b"503" and is_last and not self.taken)
        size = int(length[1]) if is_whole else 0
        if len(rest) < size:
            return None
        self._left = rest[size:]
        return Answered(int(status[1]), rest[:size], is_last)

    def _check(self, answer: Answered, asked: Asked) -> None:
        about = f"{answer.status} {answer.body[:300]!r}, number {len(self.taken)}, to {asked.data[:200]!r}"
        end = sum(len(each.data) for each in self.asked[: len(self.taken) + 1])
        may = asked.may | AT_ANY_TIME
        assert answer.status in may or (self.sent < end and 400 <= answer.status < 500), about  # whose request did not come whole
        assert answer.is_last or not asked.is_last, about
        if answer.status != 200 or not asked.device:
            return
        if asked.method == b"POST":
            assert not self.acknowledged or answer.version > self.acknowledged[-1][1], about
            self.acknowledged.append((asked.device, answer.version))
        elif answer.version:
            assert b'"producer_id":"%b"' % asked.device.encode() in answer.body, about
