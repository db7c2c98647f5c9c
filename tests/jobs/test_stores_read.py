"""Stores.read, where the cache does not take what it is filled with."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from devicesync.cache.memory import MemoryCache
from devicesync.cache.port import NO_TICKETS, UNKNOWN, Merged
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.law.state import State
from devicesync.stores import Stores


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
