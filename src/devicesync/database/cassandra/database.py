"""Cassandra: every write under its version, a bounded window in flight, what failed repeated alone.

A write time-out is a failure like any other, never taken for success.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

from cassandra.metadata import Murmur3Token

from devicesync.database.cassandra import schema
from devicesync.database.cassandra.driver import Choice, Failed, Rows, connect
from devicesync.database.cassandra.place import Place
from devicesync.database.cassandra.rows import Call, Request, calls_of, state_of_row
from devicesync.errors import Unavailable
from devicesync.law.state import State

_ROWS_A_QUERY = 20
_ERASURES_A_QUERY = 100
_ROWS_A_PAGE = 500
_ROWS_A_WRITE = 4
_MANY_DEVICES = 200
_TRIES = 3
_token = Murmur3Token.hash_fn
_FIRST_TOKEN, _TOKENS = -(2**63), 2**64


class CassandraDatabase:
    """See port.Database. Writes blindly: the newest version wins in the server, without light-weight transactions."""

    reads_to_merge = False
    parts = 256

    def __init__(self, place: Place, driver: Choice = "auto") -> None:
        self._place = place
        with _failures("reach"):
            self._driver = connect(place, driver)

    def create(self) -> None:
        """Make the keyspace and the tables where they are missing; what exists is left as it is. Raises Unavailable."""
        with _failures("create the tables in"):
            nodes = [*self._driver.query(schema.HERE), *self._driver.query(schema.ELSEWHERE)]
            data_centre = self._place.local_dc or str(nodes[0][0])
            replicas = min(self._place.replicas, sum(node[0] == data_centre for node in nodes))
            for statement in schema.creation(self._place.keyspace, data_centre, replicas):
                self._driver.query(statement)

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        with _failures("write to"):
            self._until_done(_requests(changes))
        return {}

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        with _failures("read"):
            rows = {row[0]: row[1:] for row in self._rows(schema.READ, device_ids, _ROWS_A_QUERY)}
        return _states(device_ids, rows, self.erased(device_ids))

    def erased(self, device_ids: Sequence[str]) -> dict[str, int]:
        """See port.Database."""
        with _failures("read"):
            return dict(self._rows(schema.READ_ERASE, device_ids, _ERASURES_A_QUERY))

    def scan(self, part: int) -> Iterator[dict[str, State]]:
        """See port.Database. A part is a range of tokens, equal for all parts."""
        for page in self._pages(schema.SCAN, part):
            rows = {row[1]: row[2:] for row in page}
            yield _states([*rows], rows, self.erased([*rows]))
        for page in self._pages(schema.SCAN_ERASED, part):
            yield self.read([row[1] for row in page])

    def _pages(self, statement: str, part: int) -> Iterator[Rows]:
        start, end = (_FIRST_TOKEN + _TOKENS * spot // self.parts for spot in (part, part + 1))
        limit = _ROWS_A_PAGE
        while True:
            with _failures("read"):
                (page,) = self._until_done([[Call(statement, (start, end - 1, limit))]])
            if page:
                yield page
            if len(page) < limit:
                return
            # The last token again, for other ids may share it; and should they fill a whole page, with a longer one.
            limit = limit * 2 if page[0][0] == page[-1][0] else _ROWS_A_PAGE
            start = page[-1][0]

    def check(self) -> None:
        """See port.Database."""
        for table, columns in schema.EXPECTED.items():
            with _failures("reach"):
                found = {row[0] for row in self._driver.query(schema.columns_of(self._place.keyspace, table))}
            if not found:
                raise Unavailable(f"there is no table {self._place.keyspace}.{table}", "run `devicesync init`")
            lacking = [column for column in columns if column not in found]
            if lacking:
                raise Unavailable(f"table {table} lacks {', '.join(lacking)}", f"ALTER TABLE {table} ADD {lacking[0]} …")

    def close(self) -> None:
        """See port.Database."""
        self._driver.close()

    def _rows(self, statement: str, device_ids: Sequence[str], limit: int) -> Iterator[Any]:
        rest = iter(device_ids)
        requests = []
        while group := list(islice(rest, limit)):
            requests.append([Call(statement, (group,))])
        for rows in self._until_done(requests):
            yield from rows

    def _until_done(self, requests: Sequence[Request]) -> list[Rows]:
        """Their rows, in order. What failed is repeated alone, row by row where it was several; raises the last failure."""
        outcomes = self._driver.run(requests)
        for attempt in range(1, _TRIES):
            failed = [spot for spot, outcome in enumerate(outcomes) if isinstance(outcome, Failed)]
            if not failed:
                break
            time.sleep(0.05 * attempt)
            alone = [(spot, [call]) for spot in failed for call in requests[spot]]
            again = self._driver.run([request for _, request in alone])
            for spot in failed:
                outcomes[spot] = []
            for (spot, _), outcome in zip(alone, again, strict=True):
                outcomes[spot] = outcome if isinstance(outcome, Failed) else outcomes[spot] or outcome
        return [_succeeded(outcome) for outcome in outcomes]


def _requests(changes: Mapping[str, State]) -> list[Request]:
    """The writes of each device together; of many changes, those of a few neighbours by token, which mostly share replicas.

    A request costs both sides as much as three rows do. So few stay below what Cassandra warns of (10 partitions, 5 KiB).
    """
    if len(changes) < _MANY_DEVICES:
        return [calls_of(device_id, state) for device_id, state in changes.items()]
    tokens = sorted((_token(device_id.encode()), device_id) for device_id in changes)
    calls = [calls_of(device_id, changes[device_id]) for _, device_id in tokens]
    return [list(chain.from_iterable(calls[start : start + _ROWS_A_WRITE])) for start in range(0, len(calls), _ROWS_A_WRITE)]


def _states(device_ids: Sequence[str], rows: Mapping[str, Sequence[Any]], erasures: Mapping[str, int]) -> dict[str, State]:
    states = {}
    for device_id in device_ids:
        state = state_of_row(rows.get(device_id), erasures.get(device_id, 0))
        if state.profile_version:
            states[device_id] = state
    return states


def _succeeded(outcome: Rows | Failed) -> Rows:
    if isinstance(outcome, Failed):
        raise outcome
    return outcome


@contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except Failed as error:
        raise Unavailable(
            f"can't {what} Cassandra: {error}", "check that it runs, and the database's URL; `devicesync doctor`"
        ) from error
