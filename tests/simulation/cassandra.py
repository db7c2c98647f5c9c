"""A Cassandra ring of one or three replicas: QUORUM, writes that come late, read repair, gc_grace."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from devicesync.database.cassandra.call import Call, Request
from devicesync.database.cassandra.driver import Failed, Rows, rows_of
from tests.simulation import cql
from tests.simulation.cells import Row
from tests.simulation.scheduler import done, gate, told

GC_GRACE_S = 864_000
_CREATE = re.compile(r"\s*CREATE TABLE IF NOT EXISTS \w+\.(\w+) \((.*)\)\s*$", re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE \w+\.(\w+) ADD (\w+) (\S+)")

Replica = dict[tuple[str, str], Row]
"""By table and device."""


class Ring:
    """Replicas and what is on its way to them. `now_s` is the servers' clock, `release` their Cassandra's.

    changed: the devices that something happened to since whoever looks at them has cleared it. is_down: no quorum answers.
    """

    def __init__(self, now_s: Callable[[], int], *, replicas: int = 3, release: str = "5.0.2") -> None:
        self.now_s = now_s
        self.release = release
        self.replicas: list[Replica] = [{} for _ in range(replicas)]
        self.late: list[tuple[int, cql.Write]] = []
        self.changed: set[str] = set()
        self.is_down = False
        self.tables: dict[str, cql.Types] = {}
        self._calls = 0

    def write(self, writes: Sequence[cql.Write], *, comes_late: bool = False) -> None:
        """Write to a quorum, or to one replica; the others get it later. Of one replica's row all of it or nothing shows."""
        self._calls += 1
        count = len(self.replicas)
        absent = {self._calls % 4} if count > 1 else set()
        if comes_late and count > 1:
            absent = {*range(count)} - {self._calls % count}
        for each in writes:
            self.changed.add(each.device_id)
            for replica in range(count):
                if replica in absent:
                    self.late.append((replica, each))
                else:
                    self._apply(replica, each)

    def deliver(self, number: int) -> None:
        """One of the late writes comes."""
        if self.late:
            self._apply(*self.late.pop(number % len(self.late)))

    def repair(self) -> None:
        """Everything late comes, and every replica has everything."""
        while self.late:
            self.deliver(0)

    def compact(self) -> None:
        """What was deleted more than gc_grace ago is forgotten."""
        for replica in self.replicas:
            for row in replica.values():
                row.purge(self.now_s() - GC_GRACE_S)

    def read(self, query: cql.Read) -> Rows:
        """Read from a quorum; what one of it lacks is written to it."""
        self._calls += 1
        count = len(self.replicas)
        return self.read_at([number for number in range(count) if count == 1 or number != self._calls % count], query)

    def read_at(self, asked: Sequence[int], query: cql.Read, *, repairs: bool = True) -> Rows:
        """Read from these replicas."""
        ids = {device_id for number in asked for table, device_id in self.replicas[number] if table == query.table}
        rows = []
        for device_id in query.chosen(ids):
            found = [self.replicas[number].get((query.table, device_id)) for number in asked]
            first = found[0]
            if first is not None and all(each is not None and each.equals(first) for each in found[1:]):
                row = first
            else:
                row = Row()
                for each in found:
                    if each is not None:
                        row.merge(each)
                if repairs:
                    self._repair(asked, cql.Write(query.table, device_id, row))
            if row.exists:
                rows.append(query.show(device_id, row))
        return rows

    def agrees(self, device_id: str) -> bool:
        """Whether all replicas have the same of a device."""
        first, *others = ([replica.get((table, device_id)) for table in self.tables] for replica in self.replicas)
        return all(
            mine is theirs or (mine is not None and theirs is not None and mine.equals(theirs))
            for other in others
            for mine, theirs in zip(first, other, strict=True)
        )

    def types(self, table: str) -> cql.Types:
        """A table's columns and their types."""
        return self.tables[table]

    def _repair(self, asked: Sequence[int], write: cql.Write) -> None:
        if write.row.cells or write.row.deletions or write.row.liveness is not None or write.row.deletion.written_s:
            for number in asked:
                self._apply(number, write)

    def _apply(self, replica: int, write: cql.Write) -> None:
        held = self.replicas[replica].setdefault((write.table, write.device_id), Row())
        if held.merge(write.row):
            self.changed.add(write.device_id)


class RingDriver:
    """See driver.Driver."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring

    def query(self, text: str) -> Rows:
        """See driver.Driver."""
        if match := _CREATE.match(text):
            kinds = {name: kind for names, kind in _columns(match[2]) for name in names}
            self.ring.tables.setdefault(match[1], kinds)
        elif match := _ALTER.match(text):
            self.ring.tables[match[1]][match[2]] = match[3]
        elif "FROM system.local" in text:
            return [("datacenter1", self.ring.release)]
        elif "FROM system_schema.columns" in text:
            table = text.rsplit("'", 2)[1]
            return [(name,) for name in self.ring.tables.get(table, {})]
        elif text.startswith("SELECT") and "system.peers" not in text and "system_schema" not in text:
            return self._read(cql.read(text, (), self.ring.types))
        return []

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver."""
        if self.ring.is_down:
            return [Failed("no quorum")] * len(requests)
        return [rows_of(self._run(request)) for request in requests]

    def run_late(self, requests: Sequence[Request]) -> None:
        """Writes reach one replica and time out; the others have them later. Queries time out."""
        for request in requests:
            if not (cql.is_read(request[0].statement) or self.ring.is_down):
                self.ring.write([self._write(call) for call in request], comes_late=True)

    def close(self) -> None:
        """See driver.Driver."""

    def _run(self, request: Request) -> Rows:
        (statement, values), *_ = request
        if cql.is_read(statement):
            return self._read(cql.read(statement, values, self.ring.types))
        self.ring.write([self._write(call) for call in request])
        return []

    def _read(self, query: cql.Read) -> Rows:
        return self.ring.read(query)

    def _write(self, call: Call) -> cql.Write:
        return cql.write(call.statement, call.values, self.ring.types, self.ring.now_s())


class PeekingDriver(RingDriver):
    """Reads from some replicas, and leaves no trace."""

    def __init__(self, ring: Ring, asked: Sequence[int]) -> None:
        super().__init__(ring)
        self._asked = asked

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver; whether the ring is down or not."""
        return [rows_of(self._run(request)) for request in requests]

    def _read(self, query: cql.Read) -> Rows:
        return self.ring.read_at(self._asked, query, repairs=False)


class GatedDriver:
    """A driver, simulated or real, whose every call waits for its turn and has a fate."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def query(self, text: str) -> Rows:
        """See driver.Driver."""
        rows: Rows = self._driver.query(text)
        return rows

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """See driver.Driver."""
        if not requests:
            return []
        verbs = sorted({call.statement.split()[0] for request in requests for call in request})
        fate = gate(f"Cassandra {'/'.join(verbs)}")
        if fate == "is refused":
            return [Failed(fate)] * len(requests)
        if fate == "is done by half":
            return self._torn(requests)
        if fate == "comes late" and hasattr(self._driver, "run_late"):
            self._driver.run_late(requests)
            return [Failed(fate)] * len(requests)
        outcomes: list[Rows | Failed] = self._driver.run(requests)
        told(outcomes)
        done(fate)
        return outcomes if fate == "goes on" else [Failed(fate)] * len(requests)

    def close(self) -> None:
        """See driver.Driver."""
        self._driver.close()

    def _torn(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        """Every second request fails. Of a batch over several partitions that fails the first is written: it has no log."""
        outcomes: list[Rows | Failed] = []
        for index, request in enumerate(requests):
            if index % 2:
                outcomes += self._driver.run([request])
                continue
            calls = [call for call in request if not cql.is_read(call.statement)]
            first = [call for call in calls if cql.device_of(*call) == cql.device_of(*calls[0])]
            if first and len(first) < len(calls):
                self._driver.run([first])
            outcomes.append(Failed("is done by half"))
        return outcomes


def _columns(text: str) -> list[tuple[list[str], str]]:
    """Names and types, also where several names share one ("a, b text" is how schema.py writes them)."""
    pending: list[str] = []
    found: list[tuple[list[str], str]] = []
    for part in re.split(r",(?![^<]*>)", text):
        words = part.split(None, 1)
        pending.append(words[0])
        if len(words) > 1:
            found.append((pending, words[1].replace("PRIMARY KEY", "").strip()))
            pending = []
    return found
