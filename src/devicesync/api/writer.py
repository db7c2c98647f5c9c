"""Writes lines of many requests into the log. The lines that come while one group is made durable are the next group."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from devicesync.api.answers import PartitionUnavailable, RequestError
from devicesync.api.clients import Address
from devicesync.api.fuse import SLOW_SECONDS, Fuse
from devicesync.errors import DevicesyncError, Unavailable
from devicesync.log.port import Headers, Log, NoLeader

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 64 << 20
"""Lines and bytes that may wait for the log; more are refused: a log that is down costs no memory, and nobody waits in vain."""

_RETRY_AFTER_SECONDS = 2
_log: Any = structlog.get_logger("devicesync")


class Writer:
    """Appends lines to the log, for one event loop. fuse: of the log.

    works: whether the last group was written. groups: how many were tried; in a journal each is one sync to disk.
    """

    def __init__(self, log: Log, fuse: Fuse) -> None:
        self._log = log
        self._fuse = fuse
        self._waiting: list[tuple[bytes, bytes, Headers | None, asyncio.Future[int | None]]] = []
        self._waiting_bytes = 0
        self._thread = ThreadPoolExecutor(1, "log")
        self._draining: asyncio.Task[None] | None = None
        self.works = True
        self.groups = 0

    async def append(self, line: bytes, key: bytes, headers: Headers | None = None, client: Address | None = None) -> int | None:
        """Return when the line is durable: the time in ms at which the log took it, None where the log can't say.

        client: who may have to wait.
        Raises RequestError. Then the line may be in the log or not, which does no harm.
        """
        if len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES:
            raise RequestError(503, "LOG_BUSY", "too many registrations are waiting for the log", _RETRY_AFTER_SECONDS)
        with self._fuse.call(client):
            done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
            self._waiting.append((line, key, headers, done))
            self._waiting_bytes += len(line)
            if self._draining is None:
                self._draining = asyncio.create_task(self._drain())
            return await done

    @property
    def waiting(self) -> int:
        """How many lines wait."""
        return len(self._waiting)

    def close(self) -> None:
        """Give back the thread."""
        self._thread.shutdown()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group, self._waiting, self._waiting_bytes = self._waiting, [], 0
            lines, keys, headers, _ = zip(*group, strict=True)
            began, failure, taken_ms = loop.time(), None, None
            leaderless: frozenset[int] = frozenset()
            try:
                taken_ms = await loop.run_in_executor(self._thread, self._append, lines, keys, headers if any(headers) else None)
            except NoLeader as error:
                taken_ms, leaderless = error.taken_ms, error.spots
            except Exception as error:  # noqa: BLE001 - nobody may wait for ever, whatever the log's fault is
                if self.works:
                    hint = error.hint if isinstance(error, DevicesyncError) else None
                    _log.error("the log can't take registrations", reason=str(error), hint=hint, exc_info=hint is None)
                failure = Unavailable("the log can't take registrations")
                if loop.time() - began >= SLOW_SECONDS:  # those that came meanwhile would wait as long again
                    group, self._waiting, self._waiting_bytes = group + self._waiting, [], 0
            self.works = failure is None
            self.groups += 1
            _log.debug("group", records=len(lines), written=self.works)
            for spot, (*_, future) in enumerate(group):
                if not future.done():  # a request that was cut off does not wait any more
                    refusal = PartitionUnavailable() if spot in leaderless else failure
                    future.set_exception(refusal) if refusal else future.set_result(taken_ms)
        self._draining = None

    def _append(self, *group: Any) -> int | None:
        self._log.append(*group)
        return self._log.taken_ms()  # asked here, before the next group: nobody else appends
