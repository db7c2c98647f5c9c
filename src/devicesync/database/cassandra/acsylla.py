"""See driver.Driver: through acsylla, the C++ driver in an asyncio coat; a write takes a third of the CPU time."""

import asyncio
import selectors
import socket
import ssl
import threading
from collections.abc import Coroutine, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import acsylla
from acsylla import errors

from devicesync.database.cassandra.call import Request
from devicesync.database.cassandra.driver import (
    CONNECT_SECONDS,
    IN_FLIGHT,
    RECONNECT_SECONDS,
    REQUEST_SECONDS,
    Failed,
    Rows,
    longest_seconds,
    rows_of,
)
from devicesync.database.cassandra.url import CassandraUrl

# Requests are gathered for so long before they are sent: fewer, larger writes to the socket.
_COALESCE_US = 1000
_FAILURES = (errors.CassException, OSError)
T = TypeVar("T")


class AcsyllaDriver:
    """See driver.Driver."""

    def __init__(self, url: CassandraUrl) -> None:
        self._keyspace = url.keyspace
        self._prepared: dict[str, Any] = {}
        self._session = _done(_connected(url))

    def query(self, cql: str) -> Rows:
        """See driver.Driver."""
        return _done(self._query(cql))

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver."""
        outcomes: list[Rows | Failed] = [Failed("no answer")] * len(requests)
        _done(self._run(requests, outcomes), longest_seconds(len(requests)))
        return outcomes

    def close(self) -> None:
        """See driver.Driver."""
        _done(self._session.close())

    async def _query(self, cql: str) -> Rows:
        return rows_of(row.as_tuple() for row in await self._session.execute(acsylla.create_statement(cql)))

    async def _run(self, requests: Sequence[Request], outcomes: list[Rows | Failed]) -> None:
        try:
            for statement in {call.statement for request in requests for call in request} - self._prepared.keys():
                self._prepared[statement] = await self._session.create_prepared(statement.format(keyspace=self._keyspace))
        except _FAILURES as error:
            outcomes[:] = [Failed(str(error))] * len(requests)
            return
        rest = iter(enumerate(requests))
        await asyncio.gather(*[self._work(rest, outcomes) for _ in range(min(IN_FLIGHT, len(requests)))])

    async def _work(self, rest: Iterator[tuple[int, Request]], outcomes: list[Rows | Failed]) -> None:
        for spot, request in rest:
            try:
                bound = [self._prepared[call.statement].bind(call.values) for call in request]
                if len(bound) == 1:
                    result = await self._session.execute(bound[0])
                else:
                    batch = acsylla.create_batch_unlogged()
                    for statement in bound:
                        batch.add_statement(statement)
                    result = await self._session.execute_batch(batch)
                outcomes[spot] = rows_of(row.as_tuple() for row in result)
            except _FAILURES as error:
                outcomes[spot] = Failed(str(error))


async def _connected(url: CassandraUrl) -> Any:
    cluster = acsylla.create_cluster(
        url.hosts,
        port=url.port,
        username=url.user,
        password=url.password,
        consistency=getattr(acsylla.Consistency, url.consistency),
        load_balance_dc_aware=url.local_dc,
        retry_policy="fallthrough",
        request_timeout=REQUEST_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        constant_reconnect_delay_ms=int(RECONNECT_SECONDS * 1000),
        exponential_reconnect_base_delay_ms=None,  # acsylla's default is set after the constant delay, and wins
        exponential_reconnect_max_delay_ms=None,
        coalesce_delay_us=_COALESCE_US,
        log_level="critical",
        ssl_enabled=url.tls,
        ssl_trusted_cert=_trusted(url) if url.tls else None,
        ssl_verify_flags=acsylla.SSLVerifyFlags.PEER_IDENTITY,
    )
    return await cluster.create_session()


def _trusted(url: CassandraUrl) -> str:
    return Path(url.ca or ssl.get_default_verify_paths().cafile or "").read_text()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The loop, in a thread of its own: acsylla knows only one per process. Raises OSError."""
    with selectors.DefaultSelector():  # a loop that lacks a descriptor prints a traceback when it is dropped: look first
        for end in socket.socketpair():
            end.close()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="acsylla", daemon=True).start()
    return loop


def _done(work: Coroutine[Any, Any, T], seconds: float = longest_seconds(1)) -> T:
    try:
        loop = _loop()
    except OSError as error:
        work.close()
        raise Failed(_reason(error)) from error
    under_way = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return under_way.result(seconds)
    except TimeoutError as error:
        under_way.cancel()
        raise Failed(f"no answer within {seconds:.0f} s") from error
    except _FAILURES as error:
        raise Failed(_reason(error)) from error


def _reason(error: Exception) -> str:
    return str((isinstance(error, OSError) and error.strerror) or error)
