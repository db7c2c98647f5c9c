"""See driver.Driver: through cassandra-driver, which runs wherever Python does."""

import ssl
import threading
from collections.abc import Sequence
from typing import Any

from cassandra import ConsistencyLevel, DriverException, OperationTimedOut
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionBusy, ConnectionException
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from cassandra.pool import NoConnectionsAvailable
from cassandra.query import BatchStatement, BatchType, PreparedStatement, tuple_factory

from devicesync.clock import SYSTEM
from devicesync.database.cassandra.call import Call, Request
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

_PROTOCOL = 5
_FAILURES = (
    DriverException,
    OperationTimedOut,
    NoHostAvailable,
    NoConnectionsAvailable,
    ConnectionException,
    ConnectionBusy,
    OSError,
)


class DatastaxDriver:
    """See driver.Driver."""

    def __init__(self, url: CassandraUrl) -> None:
        self._keyspace = url.keyspace
        self._prepared: dict[str, PreparedStatement] = {}
        try:
            self._cluster = cluster(url)
            self._session = self._cluster.connect()
        except _FAILURES as error:
            raise Failed(str(error)) from error
        self._session.default_fetch_size = None

    def query(self, cql: str) -> Rows:
        """See driver.Driver."""
        try:
            return rows_of(self._session.execute(cql))
        except _FAILURES as error:
            raise Failed(str(error)) from error

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver."""
        try:
            bound = [self._bound(request) for request in requests]
        except _FAILURES as error:  # they can't be prepared
            return [Failed(str(error))] * len(requests)
        return _Flight(self._session, bound).outcomes()

    def close(self) -> None:
        """See driver.Driver."""
        self._cluster.shutdown()

    def _bound(self, request: Request) -> Any:
        bound = [self._bind(call) for call in request]
        if len(bound) == 1:
            return bound[0]
        batch = BatchStatement(BatchType.UNLOGGED)
        for one in bound:
            batch.add(one)
        return batch

    def _bind(self, call: Call) -> Any:
        prepared = self._prepared.get(call.statement)
        if prepared is None:
            prepared = self._prepared[call.statement] = self._session.prepare(call.statement.format(keyspace=self._keyspace))
        return prepared.bind(call.values)


def cluster(url: CassandraUrl) -> Cluster:
    """A cluster to connect to."""
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(url.local_dc or "")),
        consistency_level=getattr(ConsistencyLevel, url.consistency),
        retry_policy=FallthroughRetryPolicy(),
        row_factory=tuple_factory,
        request_timeout=REQUEST_SECONDS,
    )
    return Cluster(
        url.hosts,
        port=url.port,
        protocol_version=_PROTOCOL,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        auth_provider=PlainTextAuthProvider(url.user, url.password) if url.user else None,
        ssl_context=ssl.create_default_context(cafile=url.ca) if url.tls else None,
        connect_timeout=CONNECT_SECONDS,
        reconnection_policy=ConstantReconnectionPolicy(RECONNECT_SECONDS, max_attempts=None),
    )


class _Flight:
    """Statements under way, at most IN_FLIGHT at once. Every wait is bounded: a lost connection may lose its answers."""

    def __init__(self, session: Any, statements: Sequence[Any]) -> None:
        self._session = session
        self._statements = statements
        self._outcomes: list[Rows | Failed] = [Failed("no answer")] * len(statements)
        self._places = min(IN_FLIGHT, len(statements))
        self._room = threading.Semaphore(self._places)
        self._ends_at = SYSTEM.monotonic() + longest_seconds(len(statements))

    def outcomes(self) -> list[Rows | Failed]:
        """Send them all, and say of each how it went."""
        for index, statement in enumerate(self._statements):
            if not self._has_room():
                break
            try:
                answer = self._session.execute_async(statement)
            except _FAILURES as error:
                self._end(Failed(str(error)), index)
            else:
                answer.add_callbacks(self._end, self._end, (index,), {}, (index,), {})
        for _ in range(self._places):
            self._has_room()
        return self._outcomes

    def _has_room(self) -> bool:
        return self._room.acquire(timeout=max(self._ends_at - SYSTEM.monotonic(), 0))

    def _end(self, result: Any, index: int) -> None:
        """The driver calls this with rows or with an error, in a thread of its own."""
        if isinstance(result, BaseException):
            self._outcomes[index] = Failed(f"{type(result).__name__}: {result}")
        else:
            self._outcomes[index] = rows_of(result or ())
        self._room.release()
