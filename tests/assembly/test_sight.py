"""What the page looks at ends with its process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicesync.assembly.sight import sight_of
from devicesync.cache.memory import MemoryCache
from devicesync.clock import SYSTEM
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Stopped
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from devicesync.stores import Stores
from tests.assembly.test_unwatched import settings_in


class Long(MemoryLog):
    """A log whose newest records take a minute to read."""

    def newest(self, count: int) -> Iterator[Record]:
        del count
        for offset in range(6_000):
            time.sleep(0.01)
            yield Record(b"{}", 0, offset, 1, 1, None)


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
