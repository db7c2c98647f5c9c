"""More ties of what a device declared than Cassandra has timestamps for: nobody stops, the ledger is bounded, the device is named."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync.database.cassandra import CassandraDatabase
from devicesync.database.cassandra.stamps import MOST_TIES
from devicesync.jobs.audit.difference import kind_of, look
from devicesync.law.event import Event
from devicesync.law.facets import DECLARED
from devicesync.law.state import State, join_all, state_of
from devicesync.stores import Stores
from tests.contract.stores import CACHES, DATABASES
from tests.law.strategies import BASE_US, values_of


@pytest.fixture(params=["simulated-cassandra", "acsylla"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    opened = Stores(CACHES["redis"](tmp_path), DATABASES[request.param](tmp_path))
    yield opened
    opened.close()


def declared(version: int, **fields: str) -> State:
    return state_of(Event("d", version, values=values_of(**fields)))


def tie(stores: Stores, name: str, version: int) -> list[State]:
    """Two registrations of one version, which leave nothing declared; then the device declares something again."""
    both = [declared(version, user_declared_state="x"), declared(version, user_declared_district="y")]
    again = declared(version + 1, user_declared_state="z")
    stores.write({name: join_all(both)})
    stores.write({name: again})
    return [*both, again]


def differs(stores: Stores, name: str) -> list[str | None]:
    stores.cache.forget([name])
    stores.refill([name])
    return [kind_of(sides) for sides in look([name], stores).values()]


def ties_of(stores: Stores, name: str) -> int:
    assert isinstance(stores.database, CassandraDatabase)
    return len(stores.database._erasures([name])[name].ties[DECLARED])


@pytest.mark.parametrize("stores", ["simulated-cassandra"], indirect=True)
def test_more_ties_than_timestamps(stores: Stores) -> None:
    name, others = uuid.uuid4().hex, uuid.uuid4().hex
    written: list[State] = []
    with capture_logs() as lines:
        for number in range(MOST_TIES - 1):
            written += tie(stores, name, BASE_US + 10 * number)
        assert differs(stores, name) == [None]
        assert lines == []
        for number in range(MOST_TIES - 1, MOST_TIES + 10):
            written += tie(stores, name, BASE_US + 10 * number)
        assert ties_of(stores, name) == MOST_TIES
        assert differs(stores, name) == ["content_differs"]
        assert stores.read(name) == stores.database.read([name])[name] == join_all(written)
    assert [line["device_id"] for line in lines] == [name]
    stores.write({name: State(erased=BASE_US + 10**6)})
    late = tie(stores, name, BASE_US + 10**6 + 10)
    assert differs(stores, name) == [None]
    assert stores.read(name) == join_all([State(erased=BASE_US + 10**6), *late])
    tie(stores, others, BASE_US)
    assert differs(stores, others) == [None]


def test_of_another_facet_the_ledger_keeps_the_newest_tie_alone(stores: Stores) -> None:
    name = uuid.uuid4().hex
    written: list[State] = []
    for number in (1, 3, 2, 5):
        both = [declared(BASE_US + number, city="x"), declared(BASE_US + number, state="y")]
        written += both
        stores.write({name: join_all(both)})
        assert differs(stores, name) == [None]
    assert stores.read(name) == stores.database.read([name])[name] == join_all(written)
    assert isinstance(stores.database, CassandraDatabase)
    assert stores.database._erasures([name])[name].ties[0] == {BASE_US + 5}
