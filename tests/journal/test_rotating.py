"""Looks at a journal without its lock, while a process rotates it, and after one that was killed in the middle of that."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from devicesync.durable import replace
from devicesync.errors import Unavailable
from devicesync.log.journal import bounds, cursor, tail
from devicesync.log.journal.lag import reader_lag
from devicesync.log.journal.times import TimeEntry
from tests.journal.opened import everything, open_journal, reader_of

NAME = "device-profile.log"


def _around(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, look: Callable[[], object]) -> None:
    """Look before and after each call of it."""
    call = getattr(owner, name)

    def looked_at(*given: Any, **named: Any) -> Any:
        look()
        try:
            return call(*given, **named)
        finally:
            look()

    monkeypatch.setattr(owner, name, looked_at)


def test_its_bounds_stay_while_it_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no moment of a rotation has the journal another end, another beginning or none: a backup would begin it anew."""
    journal = open_journal(tmp_path, segment_bytes=10)
    looks: list[Any] = []

    def look() -> None:
        looks.append((*journal.survey().bounds[0], reader_lag(journal._files, "nobody").records))

    journal.append([b"a" * 9, b"b" * 9])
    _around(monkeypatch, Path, "rename", look)
    _around(monkeypatch, tail, "replace", look)
    _around(monkeypatch, tail, "sync_directory", look)
    journal.append([b"c"])
    assert set(looks) == {(0, 2, 2)}
    assert len(looks) >= 8
    assert journal.survey().bounds[0] == (0, 3)


@pytest.mark.parametrize("moment", ["span_of", "count_lines_of"])
def test_bounds_that_a_rotation_overtakes_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """The times of one segment and the lines of the next one, together, tell of a number that no record ever had."""
    journal = open_journal(tmp_path, segment_bytes=10)
    journal.append([b"a" * 9, b"b" * 9])
    call, calls = getattr(bounds, moment), []

    def overtaken(*given: Any) -> Any:
        before = call(*given) if moment == "span_of" else None
        calls.append(moment)
        if len(calls) == 1:
            journal.append([b"c" * 9] * 5)
            journal.append([b"d"])
        return before or call(*given)

    monkeypatch.setattr(bounds, moment, overtaken)
    assert journal.survey().bounds[0] == (0, 8)


def test_a_journal_that_never_rests_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of looks without an end."""
    journal = open_journal(tmp_path, segment_bytes=1)
    monkeypatch.setattr(bounds, "_LOOKS", 3)
    _around(monkeypatch, bounds, "span_of", lambda: journal.append([b"a"]))
    journal.append([b"a"])
    with pytest.raises(Unavailable, match="change faster than they are read"):
        journal.survey()


@pytest.mark.parametrize("step", range(3))
def test_a_rotation_that_was_killed_has_lost_nothing(tmp_path: Path, step: int) -> None:
    """After each of its steps: neither the next look nor the next process tells of a loss, or of another end."""
    journal = open_journal(tmp_path)
    journal.append([b"a", b"b"])
    with closing(journal.reader("updater")) as reader:
        reader.skip(2)
        reader.commit()
    journal.close()
    active, closed = tmp_path / NAME, tmp_path / f"{NAME}.{0:020d}"
    active.rename(closed)
    if step >= 1:
        active.with_name(f"{NAME}.times").rename(closed.with_name(f"{closed.name}.times"))
    if step >= 2:
        replace(active.with_name(f"{NAME}.times"), TimeEntry(2, 0, 0, 0).pack(), durable=True)
    with structlog.testing.capture_logs() as told:
        assert journal.survey().bounds[0] == (0, 2)
        with closing(reader_of(journal, "updater")) as reader:
            assert (reader.position, reader.caught_up()) == (2, True)
        again = open_journal(tmp_path)
        again.check()
    assert told == []
    assert again.append([b"c"]) == 2
    assert everything(again) == [(0, b"a"), (1, b"b"), (2, b"c")]


def _half_rotated(directory: Path) -> None:
    """As a process leaves it that is killed between the two halves."""
    (directory / NAME).rename(directory / f"{NAME}.{0:020d}")


def _times_emptied(directory: Path) -> None:
    (directory / f"{NAME}.times").write_bytes(b"")


def _times_damaged(directory: Path) -> None:
    (directory / f"{NAME}.times").write_bytes(b"\xa5" * 320)


def _times_gone(directory: Path) -> None:
    (directory / f"{NAME}.times").unlink()


@pytest.mark.parametrize("harm", [_half_rotated, _times_emptied, _times_damaged, _times_gone])
def test_a_look_for_the_last_version_never_ends_short(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """It said that the log tells none. A registration then got a version below one that another process had answered."""
    journal, beside = open_journal(tmp_path), open_journal(tmp_path)
    journal.append([b"here"])
    beside.append([b"there"])
    harm(tmp_path)
    assert [record.value for record in journal.taken_since(0, 100, {})] == [b"here", b"there"]


def test_what_a_killed_rotation_left_is_read_to_its_end(tmp_path: Path) -> None:
    """Nobody need append first."""
    journal = open_journal(tmp_path)
    journal.append([b"1", b"2"])
    _half_rotated(tmp_path)
    assert [record.value for record in journal.newest(10)] == [b"1", b"2"]
    (tmp_path / f"{NAME}.{0:020d}.times").unlink()
    assert [record[3] for some in journal.records(0, 0, 2) for record in some] == [b"1", b"2"]


def test_a_read_that_can_not_come_to_the_end_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of an end before the end."""
    journal = open_journal(tmp_path)
    journal.append([b"1", b"2"])
    monkeypatch.setattr(cursor.Cursor, "read", lambda *given: [])
    for look in (journal.newest(10), journal.taken_since(0, 10, {}), journal.records(0, 0, 2)):
        with pytest.raises(Unavailable, match="can't be read up to its record 2"):
            next(look)
