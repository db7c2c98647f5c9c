"""Cassandra, through cassandra-driver: prepared statements, each with its own timestamp, a bounded window in flight.

A batch's failed statements are repeated alone; a write time-out is a failure like any other, never taken for success.
"""

import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from cassandra import ConsistencyLevel, DriverException, OperationTimedOut
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.concurrent import execute_concurrent
from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, FallthroughRetryPolicy, TokenAwarePolicy
from cassandra.query import UNSET_VALUE, BatchStatement, BatchType, PreparedStatement, tuple_factory

from devicesync.database import cassandra_schema as schema
from devicesync.database.cassandra_rows import Statement, Unset, Write, state_of_row, writes_of
from devicesync.errors import Unavailable, WrongUse
from devicesync.law.state import State

FORM = "cassandra://[USER:PASSWORD@]HOST[:PORT][,…]/KEYSPACE[?consistency=LOCAL_QUORUM&local_dc=NAME&replicas=N&tls=1]"
_PORT = 9042
_PROTOCOL = 5
_IN_FLIGHT = 256
_ROWS_A_QUERY = 20
_ERASURES_A_QUERY = 100
_TRIES = 3
_RECONNECT_SECONDS = 1.0
_FAILURES = (DriverException, OperationTimedOut, NoHostAvailable, OSError)


class Place(msgspec.Struct, frozen=True):
    """Where a keyspace is, read from a URL."""

    hosts: list[str]
    port: int
    keyspace: str
    user: str | None = None
    password: str | None = None
    consistency: str = "LOCAL_QUORUM"
    local_dc: str | None = None
    replicas: int = 3
    tls: bool = False


def place_of(url: str) -> Place:
    """Read a database URL. Raises WrongUse."""
    who, _, rest = url.removeprefix("cassandra://").rpartition("@")
    servers, _, path = rest.partition("/")
    keyspace, _, query = path.partition("?")
    hosts, ports = zip(*(server.partition(":")[::2] for server in servers.split(",")), strict=True)
    user, _, password = who.partition(":")
    options = dict(parse_qsl(query))
    known = {"hosts": list(hosts), "port": next((int(port) for port in ports if port.isdigit()), _PORT), "keyspace": keyspace}
    login = {"user": unquote(user), "password": unquote(password)} if who else {}
    try:
        place = msgspec.convert({**known, **login, **options}, Place, strict=False)
    except msgspec.ValidationError as error:
        raise WrongUse(f"the database's URL: {error}", f"write {FORM}") from None
    if not all(hosts) or not keyspace.isidentifier() or set(options) - set(Place.__struct_fields__):
        raise WrongUse("the database's URL is not understood", f"write {FORM}")
    if not hasattr(ConsistencyLevel, place.consistency):
        raise WrongUse(f"consistency={place.consistency} is no consistency level", "for example LOCAL_QUORUM")
    return place


class CassandraDatabase:
    """See port.Database. Writes blindly: the newest version wins in the server, without light-weight transactions."""

    reads_to_merge = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._cluster = _cluster(place)
        with _failures("reach"):
            self._session: Session = self._cluster.connect()
            self._session.default_fetch_size = None
        self._prepared: dict[str, PreparedStatement] = {}

    def create(self) -> None:
        """Make the keyspace and the tables where they are missing; what exists is left as it is. Raises Unavailable."""
        with _failures("create the tables in"):
            hosts = list(self._cluster.metadata.all_hosts())
            data_centre = self._place.local_dc or str(hosts[0].datacenter)
            replicas = min(self._place.replicas, sum(host.datacenter == data_centre for host in hosts))
            self._session.execute(schema.keyspace(self._place.keyspace, data_centre, replicas))
            self._session.set_keyspace(self._place.keyspace)
            self._session.execute(schema.TABLE)
            self._session.execute(schema.ERASURES)

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        with _failures("write to"):
            statements: list[tuple[Any, None]] = []
            for device_id, state in changes.items():
                row: list[Any] = []
                for write in writes_of(device_id, state):
                    if write.statement == "remember_erase":
                        statements.append((self._bound(write), None))
                    else:
                        row.append(self._bound(write))
                statements.append((row[0] if len(row) == 1 else _together(row), None))
            self._until_done(statements)
        return {}

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        with _failures("read"):
            rows = {row[0]: row[1:] for row in self._rows("read", device_ids, _ROWS_A_QUERY)}
            erasures = dict(self._rows("read_erase", device_ids, _ERASURES_A_QUERY))
        states = {}
        for device_id in device_ids:
            row = rows.get(device_id)
            state = state_of_row(row and [*map(_ms, row[:3]), *row[3:]], erasures.get(device_id, 0))
            if state.profile_version:
                states[device_id] = state
        return states

    def check(self) -> None:
        """See port.Database."""
        with _failures("reach"):
            keyspace = self._cluster.metadata.keyspaces.get(self._place.keyspace)
        for table, columns in (("device_profile", schema.COLUMNS), ("device_erasure", ("device_id", "version"))):
            if keyspace is None or table not in keyspace.tables:
                raise Unavailable(f"there is no table {self._place.keyspace}.{table}", "run `devicesync init`")
            lacking = [column for column in columns if column not in keyspace.tables[table].columns]
            if lacking:
                raise Unavailable(f"table {table} lacks {', '.join(lacking)}", f"ALTER TABLE {table} ADD {lacking[0]} …")

    def close(self) -> None:
        """See port.Database."""
        self._cluster.shutdown()

    def _statements(self) -> dict[str, PreparedStatement]:
        if not self._prepared:
            self._session.set_keyspace(self._place.keyspace)
            texts: dict[Statement | str, str] = {
                "write": schema.WRITE,
                "first_access": schema.FIRST_ACCESS,
                "user_declared_on": schema.USER_DECLARED_ON,
                "erase": schema.ERASE,
                "remember_erase": schema.REMEMBER_ERASE,
                "read": schema.READ,
                "read_erase": schema.READ_ERASE,
            }
            self._prepared = {name: self._session.prepare(text) for name, text in texts.items()}
        return self._prepared

    def _rows(self, statement: str, device_ids: Sequence[str], limit: int) -> Iterator[tuple[Any, ...]]:
        prepared = self._statements()[statement]
        groups = [device_ids[start : start + limit] for start in range(0, len(device_ids), limit)]
        for result in self._until_done([(prepared, (list(group),)) for group in groups]):
            yield from result

    def _bound(self, write: Write) -> Any:
        values = [UNSET_VALUE if isinstance(value, Unset) else value for value in write.values]
        return self._statements()[write.statement].bind(values)

    def _until_done(self, statements: list[tuple[Any, Any]]) -> list[Any]:
        """Their results, in order. What failed is repeated alone; raises the last failure."""
        results: list[Any] = [None] * len(statements)
        left = list(range(len(statements)))
        for attempt in range(_TRIES):
            outcomes = execute_concurrent(
                self._session, [statements[spot] for spot in left], concurrency=_IN_FLIGHT, raise_on_first_error=False
            )
            failed = []
            for spot, (success, result) in zip(left, outcomes, strict=True):
                results[spot] = result
                if not success:
                    failed.append(spot)
            if not failed:
                return results
            left = failed
            time.sleep(0.05 * attempt)
        raise results[left[0]]


def _together(row: list[Any]) -> BatchStatement:
    """Several writes of one row: one mutation, each with the timestamp that its statement names."""
    batch = BatchStatement(BatchType.UNLOGGED)
    for bound in row:
        batch.add(bound)
    return batch


def _cluster(place: Place) -> Cluster:
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(place.local_dc or "")),
        consistency_level=getattr(ConsistencyLevel, place.consistency),
        retry_policy=FallthroughRetryPolicy(),
        row_factory=tuple_factory,
        request_timeout=10.0,
    )
    return Cluster(
        place.hosts,
        port=place.port,
        protocol_version=_PROTOCOL,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        auth_provider=PlainTextAuthProvider(place.user, place.password) if place.user else None,
        ssl_context=ssl.create_default_context() if place.tls else None,
        connect_timeout=5.0,
        # Not the driver's own, which backs off to ten minutes: freshness suffers for as long as a node is not seen again.
        reconnection_policy=ConstantReconnectionPolicy(_RECONNECT_SECONDS, max_attempts=None),
    )


def _ms(value: Any) -> int | None:
    return None if value is None else round(value.timestamp() * 1000)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        raise Unavailable(
            f"can't {what} Cassandra: {error}", "check that it runs, and the database's URL; `devicesync doctor`"
        ) from error
