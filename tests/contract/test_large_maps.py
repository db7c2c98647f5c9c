"""Large maps: few are held at once. Cassandra takes them apart, which needs twenty times the memory of their text."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync import stores
from devicesync.cache import memory
from devicesync.cache.memory import MemoryCache
from devicesync.database import sqlite_rows
from devicesync.database.cassandra import database as adapter
from devicesync.database.cassandra.call import Request
from devicesync.database.cassandra.database import CassandraDatabase
from devicesync.database.cassandra.driver import Failed, Rows, rows_of
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.database.sqlite import SqliteDatabase
from devicesync.few import few_at_once
from devicesync.jobs.audit.held_ids import Sample
from devicesync.jobs.audit.pace import Pace
from devicesync.jobs.audit.sweep import first_round
from devicesync.law import maps
from devicesync.law.event import Event, decode
from devicesync.law.state import State, join, state_of
from devicesync.stores import Stores
from tests.simulation.cassandra import Ring, RingDriver

_VERSION = 1_700_000_000_000_000
_LARGE = msgspec.json.encode({f"{number}": "x" * 200 for number in range(maps.MOST_ENTRIES)}).decode()


class Counting(RingDriver):
    """How many entries were written at once at most, and how many rows were read. keeps: takes what is written."""

    entries = rows = 0
    keeps = True

    def run(self, requests: Sequence[Request]) -> list[Rows | Failed]:
        values = [value for request in requests for call in request for value in call.values]
        self.entries = max(self.entries, sum(len(value) for value in values if isinstance(value, Mapping)))
        self.rows = max(self.rows, sum(len(value) for value in values if isinstance(value, list)))
        return super().run(requests) if self.keeps else [[] for _ in requests]


@pytest.fixture
def driver() -> Counting:
    return Counting(Ring(lambda: int(time.time()), replicas=1))


@pytest.fixture
def database(driver: Counting) -> Iterator[CassandraDatabase]:
    with closing(CassandraDatabase(CassandraUrl.parse("cassandra://c/k"), driver)) as database:
        database.create()
        yield database


def event(device_id: str, version: int, uaspec: str) -> Event:
    line = f'{{"device_id":"{device_id}","version":{version},"uaspec":{uaspec}}}'
    return decode(line.encode(), taken_ms=version // 1000)


def states(count: int, uaspec: str) -> dict[str, State]:
    return {name: state_of(event(name, _VERSION, uaspec)) for name in (f"d{number}" for number in range(count))}


def test_large_maps_are_written_few_at_once(database: CassandraDatabase, driver: Counting) -> None:
    """Also where rows are made to show what the stores know."""
    given = states(110, _LARGE)
    driver.keeps = False
    database.merge(given)
    database.settle(given)
    assert 0 < driver.entries * len(_LARGE) / maps.MOST_ENTRIES < 5 << 20


def test_ordinary_maps_are_written_together(database: CassandraDatabase, driver: Counting) -> None:
    """A part costs a round trip."""
    database.merge(states(2000, '{"a":"b"}'))
    assert driver.entries == 2000


def test_of_large_rows_few_are_read_at_once(
    database: CassandraDatabase, driver: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of 1,000 small events whose rows have large maps, and which the cache has lost, held 1 GiB."""
    monkeypatch.setattr(stores, "MUCH_BYTES", 10)
    monkeypatch.setattr(stores, "few_at_once", partial(few_at_once, count=2))
    given = states(200, '{"a":"b"}')
    database.merge(given)
    driver.rows = 0
    both = Stores(MemoryCache(), database)
    newer = {device_id: state_of(event(device_id, _VERSION + 1, '{"c":"d"}')) for device_id in given}
    both.write(newer)
    assert driver.rows == 2
    assert both.cache.read([*given]) == {device_id: join(given[device_id], newer[device_id]) for device_id in given}
    both.cache.forget([*given])
    both.refill([*given])
    assert driver.rows == 2
    assert both.cache.read([*given]) == database.read([*given])


@pytest.mark.parametrize("entries", [{"b": "1", "a": "2"}, {f"{number:04}": "" for number in range(maps.MOST_ENTRIES)}])
def test_a_map_is_text_as_soon_as_it_comes(entries: dict[str, str]) -> None:
    """The other values stay."""
    row: tuple[Any, ...] = ("d", 5, None, {7}, entries)
    assert rows_of([row]) == [("d", 5, None, {7}, maps.map_text(entries))]


def test_a_map_of_too_many_entries_stays_a_map() -> None:
    """It is no value, but what a reader sees."""
    entries = {f"{number:04}": "" for number in range(maps.MOST_ENTRIES + 1)}
    assert rows_of([("d", entries)]) == [("d", entries)]


def test_a_long_map_whose_mark_was_not_written_is_unsettled(database: CassandraDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer died before. The next one found the row as its event says, wrote nothing, and a later tie was taken for a value."""
    long, other = (state_of(event("d", _VERSION, f'{{"{key}":"{"v" * length}"}}')) for key, length in (("a", 300), ("b", 1)))
    with monkeypatch.context() as dying:
        dying.setattr(adapter, "_ties", lambda states: {})
        database.merge({"d": long})
    assert database.look(["d"]) == ({"d": long}, ["d"])
    database.settle({"d": long})
    assert database.look(["d"]) == ({"d": long}, [])
    database.merge({"d": other})
    assert database.look(["d"]).states == {"d": join(long, other)}


def test_sqlite_takes_as_many_large_rows_as_are_not_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stores go on with the others. A batch held every row that it read: 1,000 of 1.1 MB."""
    monkeypatch.setattr(sqlite_rows, "MUCH_BYTES", 5_000)
    given = states(200, '{"a":"b"}')
    with closing(SqliteDatabase(tmp_path / "db")) as database:
        some = database.merge(given)
        assert 0 < len(some) < 200
        assert database.read([*given]) == some
        database.settle(given)
        assert database.read([*given]) == given
        newer = {device_id: state_of(event(device_id, _VERSION + 1, '{"c":"d"}')) for device_id in given}
        both = Stores(MemoryCache(), database)
        assert both.write(newer) == 0
        assert both.cache.read([*given]) == database.read([*given]) == newer


def test_an_audit_fills_the_cache_with_few_large_rows_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a cache in memory holds: those that had made room for others were "missing in cache"."""
    given = states(200, _LARGE)
    monkeypatch.setattr(memory, "_MOST_BYTES", 3 * next(iter(given.values())).text_bytes)
    with closing(SqliteDatabase(tmp_path / "db")) as database:
        database.merge(given)
        found = first_round(0, Stores(MemoryCache(), database), tmp_path / "work", Sample(1), Pace(0))
    assert found == (200, 0)
