"""Answers that nobody takes: all connections together hold so many bytes of them."""

from contextlib import closing
from pathlib import Path

import pytest

from devicesync.api import unsent
from devicesync.api.networks import Connected
from devicesync.api.unsent import Unsent
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.maps import LONGEST_UNITED, MOST_ENTRIES, map_text
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


def put_large(directory: Path) -> None:
    """A profile as large as ties can make it."""
    keys = [f"{number:0256}" for number in range(MOST_ENTRIES)]
    parts = [map_text(dict.fromkeys(keys[start::3], "v" * LONGEST_UNITED)) for start in range(3)]
    lines = [
        f'{{"device_id":"d","version":{_VERSION},"{field}":{part}}}'.encode()
        for part in parts
        for field in ("uaspec", "device_spec")
    ]
    with closing(SqliteDatabase(directory / "profile.db")) as database:
        database.merge({"d": join_all([state_of(decode(line, taken_ms=_VERSION // 1000)) for line in lines])})


def test_large_profiles_that_nobody_takes(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40 answers of 33 MB, which ties could make then, took an API to 1,864 MiB."""
    monkeypatch.setattr(unsent, "MOST_BYTES", 1 << 20)
    started = start()
    put_large(tmp_path)
    answer = started.client.get(PROFILE + "d")
    assert len(answer.content) > 260_000
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
    assert (1 << 20) - 2 * len(answer.content) < max(held) <= 1 << 20


def test_of_an_answer_that_is_taken_in_part_the_whole_counts(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held as a whole until its last byte is taken. What the system took at once did not count."""
    started = start()
    put_large(tmp_path)
    answer = started.client.get(PROFILE + "d")
    held: list[int] = []
    note = Unsent.note

    def noted(self: Unsent, connection: Connected, count: int) -> None:
        note(self, connection, count)
        held.append(count)

    monkeypatch.setattr(Unsent, "note", noted)
    with crowd(started, f"GET {PROFILE}d HTTP/1.1\r\nHost: a\r\n\r\n".encode(), 1):
        until(lambda: any(held))
    assert max(held) > len(answer.content)
