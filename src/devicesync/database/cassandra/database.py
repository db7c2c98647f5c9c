"""Cassandra: every write under its version, a bounded window in flight, what failed repeated alone.

A write time-out is a failure like any other, never taken for success.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from devicesync.clock import SYSTEM, Clock
from devicesync.database.cassandra import ring, schema
from devicesync.database.cassandra.call import Call, Request
from devicesync.database.cassandra.connect import DriverName, connect
from devicesync.database.cassandra.driver import Driver, Failed, Rows
from devicesync.database.cassandra.erasure import NO_ERASURE, Erasure, erasure_of
from devicesync.database.cassandra.large_maps import in_parts
from devicesync.database.cassandra.out_of_reach import FOREIGN, TIED, OutOfReach, is_out_of_reach
from devicesync.database.cassandra.row_reading import state_of_row
from devicesync.database.cassandra.rows import erase_of, forgotten_of, is_emptied, row_of, settled_row_of, ties_of
from devicesync.database.cassandra.seeing import IDS_PER_PAGE, seen_between, seen_of_row
from devicesync.database.cassandra.sending import Writes, together, token_of, until_done
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.database.port import Stored
from devicesync.errors import Unavailable
from devicesync.few import few_at_once
from devicesync.law.event import NOBODY
from devicesync.law.facets import DECLARED
from devicesync.law.seen import Seen, seen_of
from devicesync.law.state import State

_ROWS_PER_QUERY = 20
_ERASURES_PER_QUERY = 100
_FIRST_TOKEN, _TOKENS = -(2**63), 2**64


class CassandraDatabase:
    """See port.Database. Writes without reading: the newest version wins in the server, without light-weight transactions.

    driver: one that is connected already, or which kind to connect.
    """

    merges_in_place = False
    threads = 16
    identity = "cassandra"
    ranges = 256

    def __init__(self, url: CassandraUrl, driver: DriverName | Driver = "auto", clock: Clock = SYSTEM) -> None:
        self._url = url
        self._clock = clock
        self._out_of_reach = OutOfReach()
        with _failures("reach"):
            self._driver = connect(url, driver) if isinstance(driver, str) else driver
            with ExitStack() as on_error:
                on_error.callback(self._driver.close)
                self._dialect = ring.dialect_of(self._driver, url.keyspace)
                on_error.pop_all()

    def create(self) -> list[str]:
        """See port.Database: keyspace, tables, the columns that the tables lack, and those of ours that this ring needs."""
        with _failures("create the tables in"):
            statements, added = ring.plan(self._driver, self._url)
            for statement in statements:
                self._driver.query(statement)
            self._dialect = ring.dialect_of(self._driver, self._url.keyspace)
        return added

    def merge(self, changes: Mapping[str, State]) -> dict[str, State]:
        """See port.Database."""
        for part in in_parts(changes):
            self._merge(part)
        return {}

    def settle(self, states: Mapping[str, State]) -> None:
        """See port.Database."""
        for part in in_parts(states):
            self._settle(part)

    def _merge(self, changes: Mapping[str, State]) -> None:
        self._write(
            {device_id: erase_of(device_id, change) for device_id, change in changes.items()},
            {device_id: row_of(device_id, change, self._dialect) for device_id, change in changes.items()},
        )
        ties = _ties(changes)
        self._write(ties)
        if emptied := [device_id for device_id in ties if is_emptied(changes[device_id], DECLARED)]:
            self._write({device_id: forgotten_of(device_id, erasure) for device_id, erasure in self._erasures(emptied).items()})

    def _settle(self, states: Mapping[str, State]) -> None:
        known = self._erasures([*states])
        ties = _ties(states)
        self._write(
            {device_id: erase_of(device_id, state) for device_id, state in states.items()},
            {device_id: row_of(device_id, states[device_id], self._dialect) for device_id in ties},
            ties,
            {
                device_id: settled_row_of(device_id, state, known.get(device_id, NO_ERASURE), self._dialect)
                for device_id, state in states.items()
            },
        )

    def look(self, device_ids: Collection[str]) -> Stored:
        """See port.Database. The ledger's erases are written before the rows, its ties after them; it is read after them."""
        rows, erasures = self._profiles(device_ids), self._erasures(device_ids)
        doubtful = [device_id for device_id, erasure in erasures.items() if erasure.tells_of_row]
        while doubtful:  # a tie is known only after both events are in the row: read it again, between two equal ledgers
            rows |= dict.fromkeys(doubtful) | self._profiles(doubtful)
            again = self._erasures(doubtful)
            doubtful = [device_id for device_id in doubtful if again[device_id] != erasures[device_id]]
            erasures |= again
        stored = Stored({}, [])
        for device_id in device_ids:
            row, erasure = rows.get(device_id), erasures.get(device_id, NO_ERASURE)
            state, shows = state_of_row(row, erasure, self._dialect)
            if row and is_out_of_reach(row, erasure):
                self._out_of_reach.say(device_id, **FOREIGN)
            elif erasure.has_all_ties:
                self._out_of_reach.say(device_id, **TIED)
            if state.profile_version:
                stored.states[device_id] = state
                if not shows:
                    stored.unsettled.append(device_id)
        return stored

    def read(self, device_ids: Sequence[str]) -> dict[str, State]:
        """See port.Database."""
        return self.look(device_ids).states

    def scan(self, number: int) -> Iterator[list[str]]:
        """See port.Database. A range of tokens; all are of one size."""
        for statement in schema.SCANS:
            for page, _ in self._pages(statement, *self._tokens(number), IDS_PER_PAGE):
                yield [row[1] for row in page]

    def seen(self, device_ids: Sequence[str]) -> dict[str, Seen]:
        """See port.Database."""
        with _failures("read"):
            rows = [*self._rows(schema.SEEN, device_ids, _ROWS_PER_QUERY)]
        erasures = self._erasures(device_ids)
        return self._seen(rows, {device_id: erasure.version for device_id, erasure in erasures.items() if erasure.version})

    def seen_in(self, number: int) -> Iterator[dict[str, Seen]]:
        """See port.Database."""
        for rows, erases in seen_between(self._pages, *self._tokens(number)):
            yield self._seen(rows, erases)

    def range_of(self, device_id: str) -> int:
        """See port.Database."""
        return int((token_of(device_id) - _FIRST_TOKEN) * self.ranges // _TOKENS)

    def _seen(self, rows: Rows, erases: Mapping[str, int]) -> dict[str, Seen]:
        found = {row[1]: seen_of_row(row, erases.get(row[1], 0)) for row in rows}
        tombstones = {device_id: Seen(erased, None, erased) for device_id, erased in erases.items() if not found.get(device_id)}
        # Such a row is another job's. What it counts as, the law says of its cells.
        others = self.look([device_id for device_id, seen in found.items() if not seen and device_id not in erases]).states
        shown = {device_id: seen for device_id, seen in found.items() if seen}
        return tombstones | shown | {device_id: seen_of(state) for device_id, state in others.items()}

    def _tokens(self, number: int) -> tuple[int, int]:
        """The first token of a range, and the last."""
        first, following = (_FIRST_TOKEN + _TOKENS * spot // self.ranges for spot in (number, number + 1))
        return first, following - 1

    def _pages(self, statement: str, first: int, last: int, most: int) -> Iterator[tuple[Rows, int]]:
        """Rows, and the token up to which all were read. The next page begins with it: several ids can share it."""
        start, limit = first, most
        while True:
            with _failures("read"):
                (page,) = self._until_done([[[Call(statement, (start, last, limit))]]])
            if len(page) < limit:
                yield page, last
                return
            yield page, page[-1][0]
            limit = limit * 2 if page[0][0] == page[-1][0] else most  # they fill the whole page
            start = page[-1][0]

    def applied(self, log: str) -> None:
        """See port.Database. It keeps none."""

    def keep_applied(self, positions: Mapping[str, int]) -> None:
        """See port.Database."""

    def check(self) -> None:
        """See port.Database."""
        with _failures("reach"):
            lacking = ring.lacking(self._driver, self._url.keyspace)
        for table, columns in lacking.items():
            if "device_id" in columns:
                raise Unavailable(f"there is no table {self._url.keyspace}.{table}", "run `devicesync init`")
            if columns:
                raise Unavailable(f"table {table} lacks {', '.join(columns)}", "`devicesync init` adds them")
        self.read([NOBODY])  # which a role may lack the right for

    def close(self) -> None:
        """See port.Database."""
        self._driver.close()

    def _write(self, *one_after_the_other: Writes) -> None:
        with _failures("write to"):
            for writes in one_after_the_other:
                self._until_done([*together(writes)])

    def _profiles(self, device_ids: Collection[str]) -> dict[str, Sequence[Any] | None]:
        with _failures("read"):
            return {row[0]: row[1:] for row in self._rows(schema.read(self._dialect), device_ids, _ROWS_PER_QUERY)}

    def _erasures(self, device_ids: Collection[str]) -> dict[str, Erasure]:
        with _failures("read"):
            return dict(map(erasure_of, self._rows(schema.READ_ERASURES, device_ids, _ERASURES_PER_QUERY)))

    def _rows(self, statement: str, device_ids: Iterable[str], limit: int) -> Iterator[Any]:
        requests = [[[Call(statement, (group,))]] for group in few_at_once(device_ids, limit)]
        for rows in self._until_done(requests):
            yield from rows

    def _until_done(self, requests: Sequence[Sequence[Request]]) -> list[Rows]:
        return until_done(self._driver, self._clock, requests)


def _ties(states: Mapping[str, State]) -> dict[str, list[Call]]:
    return {device_id: ties for device_id, state in states.items() if (ties := ties_of(device_id, state))}


@contextmanager
def _failures(what: str) -> Iterator[None]:
    try:
        yield
    except Failed as error:
        raise Unavailable(
            f"can't {what} Cassandra: {error}", "check that it runs, and the database's URL; `devicesync doctor`"
        ) from error
