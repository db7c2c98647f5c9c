"""Keeps requests from waiting in vain for a log or a store that does not answer."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from devicesync.api.answers import RequestError
from devicesync.api.clients import Address, network_of
from devicesync.errors import Unavailable

SLOW_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 2


class Fuse:
    """For one event loop. A call that fails slowly, while no other one works, blows it.

    Then calls are refused at once: for a second all of them, and after it all but one at a time, until one has worked. A call
    that fails quickly blows nothing: it costs little, and the fault may be its own.

    most: how many calls may be under way, so that requests that need something else find a connection. Up to a third above it
        whoever has fewer than others has room: some busy networks do not keep the rest out. err, errmsg: the words of a refusal.
    """

    def __init__(self, most: int, err: str, errmsg: str) -> None:
        self._most = most
        self._words = err, errmsg
        self._under_way = Counter[bytes]()  # of each network
        self._count = self._worked = 0
        self._blown_at: float | None = None

    @contextmanager
    def call(self, client: Address | None = None) -> Iterator[None]:
        """The body is a call for this client. Raises RequestError where it would wait in vain, and in place of Unavailable."""
        now = asyncio.get_running_loop().time
        began, worked, network = now(), self._worked, network_of(client)
        if not self._has_room(network, began):
            raise self._refusal()
        self._under_way[network] += 1
        self._count += 1
        try:
            yield
        except Unavailable:
            if self._worked == worked and now() - began >= SLOW_SECONDS:
                self._blown_at = now()
            raise self._refusal() from None
        finally:
            self._count -= 1
            self._under_way[network] -= 1
            if not self._under_way[network]:
                del self._under_way[network]
        self._worked += 1
        self._blown_at = None

    def _has_room(self, network: bytes, now: float) -> bool:
        if self._blown_at is not None:
            return not self._count and now - self._blown_at >= _PAUSE_SECONDS
        share = self._count / max(len(self._under_way), 1)
        return self._count < self._most or (self._count < self._most * 4 / 3 and self._under_way[network] + 1 < share)

    def _refusal(self) -> RequestError:
        return RequestError(503, *self._words, _RETRY_AFTER_SECONDS)
