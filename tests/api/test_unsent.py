"""Answers that nobody takes: all connections together hold so many bytes of them."""

from contextlib import closing
from pathlib import Path

import pytest

from devicesync.api import unsent
from devicesync.api.networks import Connected
from devicesync.api.unsent import Unsent
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.maps import map_text
from devicesync.law.state import join_all, state_of
from tests.api.conftest import Start, crowd
from tests.api.test_http import PROFILE
from tests.end_to_end.command import until

_VERSION = 1_700_000_000_000_000


class Line:
    """A connection that notes whether it was cut off."""

    is_cut = False

    def look(self, now: float) -> None:
        pass

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass

    def has_taken_all(self) -> bool:
        return True

    def cut_off(self) -> None:
        self.is_cut = True


def test_who_has_waited_longest_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not whoever takes its answer, even if slowly."""
    monkeypatch.setattr(unsent, "MOST_BYTES", 100)
    first, second, third = Line(), Line(), Line()
    held = Unsent()
    held.note(first, 60)
    held.note(second, 40)
    held.note(first, 0)
    held.note(third, 60)
    assert [line.is_cut for line in (first, second, third)] == [False, False, False]
    held.note(first, 30)
    assert [line.is_cut for line in (first, second, third)] == [False, True, False]
    held.note(second, 0)
    held.note(first, 40)
    assert [line.is_cut for line in (first, second, third)] == [False, True, False]


def test_large_profiles_that_nobody_takes(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 such answers, each as large as ties can make one, took an API to 1,864 MiB."""
    monkeypatch.setattr(unsent, "MOST_BYTES", 4 << 20)
    parts = [map_text({f"{part:02}{number:02}": "v" * 256 for number in range(100)}) for part in range(70)]
    lines = [b'{"device_id":"d","version":%d,"uaspec":%b}' % (_VERSION, (part or "").encode()) for part in parts]
    started = start()
    with closing(SqliteDatabase(tmp_path / "profile.db")) as database:
        database.merge({"d": join_all([state_of(decode(line, taken_ms=_VERSION // 1000)) for line in lines])})
    answer = started.client.get(PROFILE + "d")
    assert len(answer.content) > 1_500_000
    held: list[int] = []
    note = Unsent.note

    def noted(self: Unsent, connection: Connected, count: int) -> None:
        note(self, connection, count)
        if count:
            held.append(self._total)

    monkeypatch.setattr(Unsent, "note", noted)
    with crowd(started, f"GET {PROFILE}d HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 20) as connections:
        until(lambda: len(held) >= len(connections))
        assert len(started.client.get(PROFILE + "d").content) == len(answer.content)
    assert (4 << 20) - len(answer.content) < max(held) <= 4 << 20
