"""Rows that another job wrote at timestamps, and with times, that the law can't hold: nanoseconds, for example."""

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from devicesync.database.cassandra import CassandraDatabase
from devicesync.database.cassandra.call import Call
from devicesync.jobs.audit.difference import kind_of, look
from devicesync.law.event import Event
from devicesync.law.state import State, state_of
from devicesync.law.version import LATEST_US
from devicesync.stores import Stores
from tests.contract.stores import CACHES, DATABASES
from tests.law.strategies import BASE_US, values_of

NS = BASE_US * 1000
TIMES = ("api_last_updated_on", "first_access", "user_declared_on")
OTHERS = ("one", "two", "three")

Cells = dict[str, Any]


@pytest.fixture(params=[name for name in DATABASES if name != "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(CACHES["redis"](tmp_path), DATABASES[request.param](tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def victim() -> str:
    return uuid.uuid4().hex


def of_another_job(stores: Stores, device_id: str, cells: Cells, at: int) -> None:
    """Another job writes a row at this timestamp."""
    database = stores.database
    assert isinstance(database, CassandraDatabase)
    marks = ["blobAsTimestamp(bigintAsBlob(?))" if column in TIMES else "?" for column in cells]
    statement = (
        f"INSERT INTO {{keyspace}}.device_profile ({', '.join(['device_id', *cells])}) "
        f"VALUES ({', '.join(['?', *marks])}) USING TIMESTAMP ?"
    )
    (outcome,) = database._driver.run([[Call(statement, [device_id, *cells.values(), at])]])
    assert outcome == []


def registrations(names: Sequence[str], version: int = BASE_US + 5) -> dict[str, State]:
    return {name: state_of(Event(name, version, values=values_of(city="new", fcm_token="t"))) for name in names}


def differing(stores: Stores, names: Sequence[str]) -> dict[str, str | None]:
    """What an audit finds."""
    return {name: kind for name, sides in look(names, stores).items() if (kind := kind_of(sides))}


ROWS: dict[str, tuple[Cells, int]] = {
    "nanoseconds": ({"city": "old", "uaspec": {"a": "b"}}, NS),
    "nanoseconds, and a deletion": ({"city": "old", "api_last_updated_on": None}, NS),
    "nanoseconds, all of it": ({"city": "old", "api_last_updated_on": BASE_US // 1000}, NS),
    "a timestamp of 16 digits": ({"user_declared_state": "old"}, 2**53 + 1),
    "the last timestamp of the law": ({"city": "old"}, LATEST_US),
    "the greatest timestamp": ({"fcm_token": "old"}, 2**63 - 2),
    "a time in nanoseconds": ({"city": "old", "api_last_updated_on": NS}, BASE_US),
    "minima in nanoseconds": ({"user_declared_state": "x", "user_declared_on": NS, "first_access": NS}, BASE_US),
    "before 1970": ({"uaspec": {"a": "b"}, "city": "old", "first_access": 5}, -1),
    "at the first µs": ({"city": "old", "api_last_updated_on": 1}, 0),
}


@pytest.mark.parametrize("first", ["write", "refill"])
@pytest.mark.parametrize("row", ROWS)
def test_such_a_row_stops_nobody_and_both_stores_come_to_say_the_same(stores: Stores, victim: str, row: str, first: str) -> None:
    """The device itself goes on, too. Where no event can change a cell any more, the device is named, once."""
    cells, at = ROWS[row]
    of_another_job(stores, victim, cells, at)
    names = [victim, *(victim + other for other in OTHERS)]
    with capture_logs() as lines:
        if first == "refill":
            stores.refill(names)
        stores.write(registrations(names))
        stores.refill(names)
        stores.cache.forget([victim])
        stores.refill(names)
    assert {*stores.cache.read(names)} == {*names}
    assert stores.cache.read(names) == stores.database.read(names)
    assert differing(stores, names) == {}
    assert [line["device_id"] for line in lines] == [victim] * (at >= LATEST_US)
    assert stores.database.look(names).unsettled == ([victim] if row == "nanoseconds, and a deletion" else [])


def test_a_later_registration_changes_every_other_facet(stores: Stores, victim: str) -> None:
    """Cassandra keeps what has the later timestamp, also beside an erase; so the cache keeps it, too."""
    of_another_job(stores, victim, {"city": "old", "user_declared_state": None}, NS)
    stores.write(registrations([victim]))
    later = state_of(Event(victim, BASE_US + 9, values=values_of(city="newer", fcm_token="t2")))
    stores.write({victim: later})
    held = stores.cache.read([victim])[victim]
    assert (held.version, held.registers[0][1][4], held.registers[4]) == (LATEST_US, "old", (BASE_US + 9, ("t2",)))
    stores.write({victim: State(erased=BASE_US + 20)})
    held = stores.cache.read([victim])[victim]
    assert [register[0] for register in held.registers if register[0]] == [LATEST_US]
    assert stores.database.read([victim]) == {victim: held}
    assert differing(stores, [victim]) == {}


@pytest.mark.parametrize("version", [2**54, 2**63 - 1, -5])
def test_an_erase_that_another_job_wrote_into_the_ledger_is_one_of_the_law(stores: Stores, victim: str, version: int) -> None:
    """One of 1.8 × 10^16 was an OverflowError, for the stamps of what came after it."""
    database = stores.database
    assert isinstance(database, CassandraDatabase)
    statement = "INSERT INTO {keyspace}.device_erasure (device_id, version) VALUES (?, ?) USING TIMESTAMP ?"
    assert database._driver.run([[Call(statement, [victim, version, BASE_US])]]) == [[]]
    stores.write(registrations([victim]))
    stores.refill([victim])
    assert stores.cache.read([victim])[victim].erased == (LATEST_US if version > 0 else 0)
    assert stores.cache.read([victim]) == database.read([victim])
    assert differing(stores, [victim]) == {}
    page = [seen[victim] for seen in database.seen_in(database.range_of(victim)) if victim in seen]
    assert page == [database.seen([victim])[victim]]
