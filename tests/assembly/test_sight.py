"""What the page looks at ends with its process."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.assembly.sight import sight_of
from devicesync.cache.memory import MemoryCache
from devicesync.clock import SYSTEM
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Stopped
from devicesync.law.event import Event
from devicesync.law.maps import map_text
from devicesync.law.state import State, state_of
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from devicesync.status.trace import trace
from devicesync.stores import Stores
from tests.assembly.test_unwatched import settings_in
from tests.law.strategies import BASE_US, values_of


class Long(MemoryLog):
    """A log whose newest records take a minute to read."""

    def newest(self, count: int) -> Iterator[Record]:
        del count
        for offset in range(6_000):
            time.sleep(0.01)
            yield Record(b"{}", 0, offset, 1, 1, None)


def test_of_a_long_value_the_beginning_is_shown(tmp_path: Path) -> None:
    """All of it is compared. 60 looks at a device whose maps have 2 MB each took an API to 752 MiB, and held its loop."""
    with closing(SqliteDatabase(tmp_path / "profile.db")) as database:
        cache = MemoryCache()
        database.merge({"d": _wide("x" * 60_000)})
        cache.merge({"d": _wide("x" * 59_999 + "y")}, cache.look(["d"]).tickets)
        found = trace("d", MemoryLog(), Stores(cache, database))
    compared = {field.field: field for field in found.fields}
    for name, begins in (("producer_id", "x"), ("device_spec", "key=x")):
        assert compared[name].differs
        for text in (compared[name].cache, compared[name].database):
            assert text is not None
            assert text.startswith(begins)
            assert text.endswith(" characters)")
            assert len(text) < 2_100
    assert compared["city"].cache == "Goa"


def _wide(text: str) -> State:
    return state_of(Event("d", BASE_US, values=values_of(city="Goa", producer_id=text, device_spec=map_text({"key": text}))))


def test_a_stop_waits_for_no_look(tmp_path: Path) -> None:
    """Sixty people, or pages of another site, followed a device: SIGTERM took 32.8 s."""
    stores = Stores(MemoryCache(), SqliteDatabase(tmp_path / "profile.db"))
    with sight_of(settings_in(tmp_path), Long(), lambda: stores) as sight:
        looks = [sight.thread.submit(sight.trace, "d") for _ in range(60)]
        stopped_at = SYSTEM.monotonic()
    assert SYSTEM.monotonic() - stopped_at < 30
    for look in looks:
        with pytest.raises(Stopped):
            look.result()
