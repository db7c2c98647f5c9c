"""What the page looks at ends with its process."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from devicesync.assembly import adapters, delivery
from devicesync.assembly import sight as sight_module
from devicesync.assembly.sight import sight_of
from devicesync.cache.memory import MemoryCache
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Stopped, Unavailable
from devicesync.law.event import Event
from devicesync.law.maps import map_text
from devicesync.law.state import State, state_of
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from devicesync.status.trace import trace
from devicesync.stores import Stores
from tests.assembly.test_unwatched import settings_in
from tests.end_to_end.command import until
from tests.law.strategies import BASE_US, values_of
from tests.simulation.dead_letters import KeptDeadLetters


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


class Endless(KeptDeadLetters):
    """Dead letters that nobody reads to their end."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def find(self, *, reason: str | None = None, limit: int | None = None) -> NoReturn:
        """See dead_letters.DeadLetters."""
        del reason, limit
        while True:
            self._check()
            time.sleep(0.001)

    def each(self, reason: str | None = None) -> NoReturn:
        """See dead_letters.DeadLetters."""
        self.find(reason=reason)


def over_a_topic(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a topic that has endless dead letters."""
    monkeypatch.setattr(adapters, "open_dead_letters", lambda _, *, check, **__: Endless(check))
    monkeypatch.setattr(delivery, "delivering", lambda *_: nullcontext())
    return msgspec.structs.replace(settings_in(directory), log="kafka://127.0.0.1:1/t")


def test_a_stop_waits_for_no_look_at_dead_letters_and_for_no_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a million letters in the topic SIGTERM took 66 s. The looks that have not begun end too."""
    settings = over_a_topic(tmp_path, monkeypatch)
    monkeypatch.setattr(sight_module, "_LOOK_SECONDS", math.inf)
    for first in ("dead_letters", "replay"):
        with sight_of(settings, Long(), lambda: pytest.fail("no store is looked at")) as sight:
            begun = sight.thread.submit(getattr(sight, first), None)
            until(begun.running)
            looks = [begun, *(sight.thread.submit(sight.dead_letters, 20) for _ in range(60))]
        for look in looks:
            with pytest.raises(Stopped):
                look.result()


def test_a_look_at_too_many_dead_letters_ends_with_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has one thread: the next look waits."""
    settings = over_a_topic(tmp_path, monkeypatch)
    monkeypatch.setattr(sight_module, "_LOOK_SECONDS", 0.0)
    with (
        sight_of(settings, Long(), lambda: pytest.fail("no store is looked at")) as sight,
        pytest.raises(Unavailable, match="too many dead letters") as told,
    ):
        sight.thread.submit(sight.dead_letters, 20).result()
    assert "dead-letters list" in told.value.hint


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
