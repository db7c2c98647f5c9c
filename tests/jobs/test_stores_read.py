"""Stores, where the cache does not take what it is filled with."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import NO_TICKETS, UNKNOWN, Merged
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.law.state import State
from devicesync.stores import Stores
from tests.contract.stores import simulated_database


class Losing(MemoryCache):
    """It loses each device between look and merge, so many times."""

    losses = 0

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        self.losses -= 1
        return Merged([*changes], []) if self.losses >= 0 else super().merge(changes, tickets, shown)


@pytest.mark.parametrize("losses", [0, 1, 30])
def test_a_device_is_read_when_the_cache_has_taken_it(tmp_path: Path, losses: int) -> None:
    """However often it was lost on the way."""
    stores = Stores(Losing(), SqliteDatabase(tmp_path / "database"))
    stores.database.merge({"d": State(2_000_000)})
    stores.cache.losses = losses  # type: ignore[attr-defined]
    assert stores.read("d").version == 2_000_000
    assert stores.cache.read(["d"])
    stores.close()


def test_what_the_cache_never_takes_is_not_told(tmp_path: Path) -> None:
    """A later reader would miss what this one saw."""
    stores = Stores(Losing(), SqliteDatabase(tmp_path / "database"))
    stores.database.merge({"d": State(2_000_000)})
    stores.cache.losses = 10**9  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="loses devices faster"):
        stores.read("d")
    stores.close()


class LosingOne(MemoryCache):
    """It never keeps the device `lost`; or it keeps the device, and always says that the row may not show it."""

    says_unsettled = False

    def merge(
        self, changes: Mapping[str, State], tickets: Mapping[str, str] = NO_TICKETS, shown: Mapping[str, bool] = UNKNOWN
    ) -> Merged:
        if self.says_unsettled:
            merged = super().merge(changes, tickets, shown)
            return merged._replace(unsettled=[*{*merged.unsettled, *({"lost"} & changes.keys())}])
        merged = super().merge({name: change for name, change in changes.items() if name != "lost"}, tickets, shown)
        return merged._replace(missing=[*merged.missing, *({"lost"} & changes.keys())])


CALLS: dict[str, Callable[[Stores, dict[str, State]], object]] = {
    "write": lambda stores, states: stores.write(states),
    "restore": lambda stores, states: stores.restore(states),
    "refill": lambda stores, states: stores.refill([*states]),
}


@pytest.mark.parametrize("says_unsettled", [False, True])
@pytest.mark.parametrize("kind", ["sqlite", "cassandra"])
@pytest.mark.parametrize("call", CALLS)
def test_a_device_that_the_cache_never_keeps_is_named_and_stops_nobody(
    tmp_path: Path, call: str, kind: str, *, says_unsettled: bool
) -> None:
    """The database has it. An updater had waited for it for ever, and with it all others."""
    database = SqliteDatabase(tmp_path / "database") if kind == "sqlite" else simulated_database(tmp_path, "5.0.2")
    cache = LosingOne()
    cache.says_unsettled = says_unsettled
    stores = Stores(cache, database)
    states = {name: State(2_000_000, api_last_updated_on=2000) for name in ("one", "lost", "two")}
    if call == "refill":
        database.merge(states)
    with capture_logs() as lines:
        CALLS[call](stores, states)
    assert database.read([*states]) == states
    assert {"one", "two"} <= cache.read([*states]).keys()
    is_named = not says_unsettled or kind == "cassandra"  # SQLite's rows show their state
    assert [line["devices"] for line in lines] == [["lost"]] * is_named
    stores.close()
