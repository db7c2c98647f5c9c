"""Following a device-profile.log that another service writes, through every rotation that logrotate does."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync.errors import Unavailable
from devicesync.log import foreign as foreign_module
from devicesync.log.foreign import ForeignLog
from devicesync.log.whole_lines import LONGEST_LINE_BYTES


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_module, "_QUIET_SECONDS", 0.0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "device-profile.log"


def follow(log: Path) -> ForeignLog:
    return ForeignLog(log, log.with_name("spot.json"))


def take(foreign: ForeignLog, tries: int = 6) -> list[bytes]:
    lines = [line for _ in range(tries) for line in foreign.read()]
    foreign.commit()
    return lines


def write(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.writelines(lines)


def test_lines_as_they_come(log: Path) -> None:
    """Also before the file exists; an unfinished line waits for its end; CRLF and blank lines as in every file."""
    foreign = follow(log)
    assert take(foreign) == []
    write(log, "one\r\n\n", "tw")
    assert take(foreign) == [b"one"]
    write(log, "o\n")
    assert take(foreign) == [b"two"]


def test_restart_goes_on_where_it_stopped(log: Path) -> None:
    """What was read but not committed comes again."""
    write(log, "one\n")
    foreign = follow(log)
    take(foreign)
    write(log, "two\n")
    assert foreign.read() == [b"two"]
    foreign.close()
    assert take(follow(log)) == [b"two"]


@pytest.mark.parametrize("wrong", [{"offset": -1}, {"head_bytes": -1}, {"head_bytes": 1 << 40}, {"offset": "1"}])
def test_a_place_that_can_not_be_counts_as_none(log: Path, wrong: dict[str, object]) -> None:
    """The file is read from its beginning: lines that come twice are harmless."""
    write(log, "one\n")
    foreign = follow(log)
    assert take(foreign) == [b"one"]
    foreign.close()
    spot = log.with_name("spot.json")
    spot.write_text(json.dumps(json.loads(spot.read_text()) | wrong))
    assert take(follow(log)) == [b"one"]


def test_rename_and_create(log: Path) -> None:
    """The old file is read to its end, what its writer still adds included, and an unfinished last line too."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    log.rename(f"{log}.1")
    write(Path(f"{log}.1"), "late\n", "unfinished")
    write(log, "new\n")
    assert take(foreign) == [b"late", b"unfinished", b"new"]


def test_rename_before_the_next_file_is_made(log: Path) -> None:
    """What is still written into the renamed file is read, however long the next one takes to come."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    log.rename(f"{log}.1")
    assert take(foreign) == []
    write(Path(f"{log}.1"), "late\n", "unfin")
    assert take(foreign) == [b"late"]
    write(Path(f"{log}.1"), "ished")
    write(log, "new\n")
    assert take(foreign) == [b"unfinished", b"new"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_no_regular_file_in_its_place_is_told_and_waited_for(log: Path, make: Callable[[Path], None]) -> None:
    """A pipe that nobody writes must not hold the follower for good."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    log.rename(f"{log}.1")
    make(log)
    with pytest.raises(Unavailable, match="no regular file"):
        take(foreign)
    log.rename(f"{log}.away")
    write(log, "new\n")
    assert take(foreign) == [b"new"]


def test_a_name_with_signs_of_a_pattern(tmp_path: Path) -> None:
    """Its rotated files are found all the same."""
    log = tmp_path / "devices[1]*.log"
    write(log, "one\n")
    with closing(follow(log)) as foreign:
        assert take(foreign) == [b"one"]
    write(log, "two\n")
    log.rename(f"{log}.1")
    write(log, "three\n")
    assert take(follow(log)) == [b"two", b"three"]


def test_several_rotations_while_away(log: Path) -> None:
    """Numbered and dated files are read in the order in which they were written."""
    foreign = follow(log)
    write(log, "one\n")
    take(foreign)
    foreign.close()
    for name in ("device-profile.log-20261122", "device-profile.log.2", "device-profile.log.1"):
        write(log, f"{name}\n")
        log.rename(log.with_name(name))
    write(log, "now\n")
    write(log.with_name("device-profile.log.reader.updater"), "not a rotated file\n")
    assert take(follow(log), 12) == [b"device-profile.log-20261122", b"device-profile.log.2", b"device-profile.log.1", b"now"]


def test_copytruncate(log: Path) -> None:
    """What was unread when the file was truncated is read from the copy."""
    foreign = follow(log)
    write(log, "one " + "x" * 300 + "\n")
    take(foreign)
    write(log, "two\n")
    shutil.copy(log, f"{log}.1")
    log.write_text("")
    write(log, "three\n")
    assert take(foreign, 12) == [b"two", b"three"]


def test_copytruncate_that_grew_past_the_old_place(log: Path) -> None:
    """Recognised by the file's first bytes, not by its size."""
    foreign = follow(log)
    write(log, "one\n")
    take(foreign)
    shutil.copy(log, f"{log}.1")
    log.write_text("another, longer than what was there\n")
    assert take(foreign, 12) == [b"another, longer than what was there"]


def test_copytruncate_twice_between_two_looks(log: Path) -> None:
    """All of the first file had been read: the second one was passed over."""
    write(log, "one\n", "two\n")
    foreign = follow(log)
    assert take(foreign) == [b"one", b"two"]
    for number, lines in enumerate((["three\n", "four\n"], ["five\n"])):
        for spot in range(number, 0, -1):
            log.with_name(f"{log.name}.{spot}").rename(log.with_name(f"{log.name}.{spot + 1}"))
        shutil.copy2(log, log.with_name(f"{log.name}.1"))
        log.write_bytes(b"")
        write(log, *lines)
    assert take(foreign, 20) == [b"three", b"four", b"five"]


def test_copytruncate_until_the_file_that_was_read_is_gone(log: Path) -> None:
    """Whoever could not look for so long is told, and reads the rotated file that is there: it was passed over."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    for lines in ("lost\n", "two\n"):
        write(log, lines)
        shutil.copy(log, f"{log}.1")
        log.write_text("")
    write(log, "three\n")
    with capture_logs() as told:
        assert take(foreign) == [b"two", b"three"]
    assert ["is gone" in line["event"] for line in told] == [True]


def test_the_followed_file_goes_while_away_and_behind(log: Path) -> None:
    """The rotated files after it are read, though all of them are older than the place that was kept."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    write(log, "two\n")
    for number in (3, 2, 1):
        log.rename(f"{log}.{number}")
        write(log, f"after {number}\n")
    assert take(foreign, 1) == [b"two"]  # it keeps its place late
    foreign.close()
    log.with_name(f"{log.name}.3").unlink()
    with capture_logs() as told:
        assert take(follow(log)) == [b"after 3", b"after 2", b"after 1"]
    assert ["is gone" in line["event"] for line in told] == [True]


def test_a_place_of_an_earlier_version(log: Path) -> None:
    """It does not say when its file had been written. Where that is gone, what is later than the place itself is read."""
    write(log, "one\n")
    foreign = follow(log)
    assert take(foreign) == [b"one"]
    foreign.close()
    spot = log.with_name("spot.json")
    place = json.loads(spot.read_text())
    assert place.pop("written_ns") == log.stat().st_mtime_ns
    spot.write_text(json.dumps(place))
    write(log, "two\n")
    with closing(follow(log)) as foreign:
        assert foreign.read() == [b"two"]
    log.unlink()
    for number, seconds in ((2, -1), (1, 1)):
        rotated = log.with_name(f"{log.name}.{number}")
        write(rotated, f"after {seconds} s\n")
        os.utime(rotated, (at := spot.stat().st_mtime + seconds, at))
    assert take(follow(log)) == [b"after 1 s"]


@pytest.mark.parametrize("first", ["", "one\n"])
def test_killed_before_it_kept_any_place(log: Path, first: str) -> None:
    """At its first start. What was in the log then, or came since, is read where the rotation left it."""
    write(log, first)
    foreign = follow(log)
    if not first:
        write(log, "one\n")
    assert foreign.read() == [b"one"]
    foreign.close()
    log.rename(f"{log}.1")
    write(log, "two\n")
    assert take(follow(log)) == [b"one", b"two"]


def test_filled_and_rotated_between_two_looks(log: Path) -> None:
    """Though the log was empty at the first look, and no file came before."""
    write(log, "")
    foreign = follow(log)
    assert take(foreign) == []
    write(log, "one\n")
    shutil.copy(log, f"{log}.1")
    log.write_text("")
    write(log, "two\n")
    assert take(foreign) == [b"one", b"two"]


@pytest.mark.parametrize("rotate", [shutil.copy2, shutil.move])
def test_copytruncate_of_what_was_empty_at_the_last_look(log: Path, rotate: Callable[[Path, str], object]) -> None:
    """What it held between two looks is read from the copy."""
    foreign = follow(log)
    write(log, "zero\n")
    assert take(foreign) == [b"zero"]
    rotate(log, f"{log}.1")
    log.write_bytes(b"")
    assert take(foreign) == []
    write(log, "one\n")
    log.with_name(f"{log.name}.1").rename(f"{log}.2")
    shutil.copy2(log, f"{log}.1")
    log.write_bytes(b"")
    write(log, "two\n")
    assert take(foreign, 20) == [b"one", b"two"]


@pytest.mark.parametrize("rotate", [shutil.copy, shutil.move])
@pytest.mark.parametrize("first", ["", "one\n"])
def test_rotated_while_away(log: Path, rotate: Callable[[Path, str], object], first: str) -> None:
    """The log was empty, or its former file is gone by now: what was written since is read all the same, and no more."""
    write(log.with_name(f"{log.name}.9"), "before the first start\n")
    write(log, first)
    foreign = follow(log)
    take(foreign)
    foreign.close()
    log.write_text("")
    for number in (3, 2, 1):
        write(log, f"{number}\n")
        rotate(log, f"{log}.{number}")
        log.write_text("")
    write(log, "now\n")
    with capture_logs() as told:
        assert take(follow(log), 20) == [b"3", b"2", b"1", b"now"]
    assert [line["log_level"] for line in told] == (["warning"] if first else [])


def test_an_empty_rotated_file_is_passed_over(log: Path) -> None:
    """It holds nothing up."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    log.rename(f"{log}.2")
    log.with_name(f"{log.name}.1").touch()
    assert take(foreign) == []
    write(log, "two\n")
    assert take(foreign) == [b"two"]


def test_copytruncate_while_away(log: Path) -> None:
    """After a restart the copy is known again by its first bytes, though its inode is another."""
    foreign = follow(log)
    write(log, "one " + "x" * 300 + "\n")
    take(foreign)
    foreign.close()
    write(log, "two\n")
    shutil.copy(log, f"{log}.1")
    log.write_text("three\n")
    assert take(follow(log), 12) == [b"two", b"three"]


@pytest.mark.parametrize("size", [LONGEST_LINE_BYTES - 1, LONGEST_LINE_BYTES, LONGEST_LINE_BYTES + 1, 3_000_000])
def test_a_long_line(log: Path, size: int) -> None:
    """Longer than any event may be: its beginning counts as the line, and a warning says how long it is."""
    write(log, "x" * size + "\n", "y\n")
    kept = min(size, LONGEST_LINE_BYTES)
    with capture_logs() as told:
        assert take(follow(log)) == [b"x" * kept, b"y"]
    assert [(line["bytes"], line["kept_bytes"]) for line in told] == ([(size, kept)] if size > kept else [])


def test_a_long_last_line_of_a_rotated_file(log: Path) -> None:
    """Without an end, too."""
    foreign = follow(log)
    write(log, "one\n")
    assert take(foreign) == [b"one"]
    write(log, "x" * 3_000_000)
    log.rename(f"{log}.1")
    write(log, "new\n")
    with capture_logs() as told:
        assert take(foreign) == [b"x" * LONGEST_LINE_BYTES, b"new"]
    assert [line["bytes"] for line in told] == [3_000_000]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_without_bound_takes_no_memory_without_bound(log: Path, end: bytes) -> None:
    """Some MiB, however long it is, whether its end has come or not."""
    with log.open("wb") as file:
        file.truncate(100 << 20)
        file.seek(0, os.SEEK_END)
        file.write(end)
    foreign = follow(log)
    tracemalloc.start()
    try:
        assert [len(line) for line in take(foreign)] == ([LONGEST_LINE_BYTES] if end else [])
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_long_line_without_an_end_is_not_read_anew(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it grows, its beginning and what is new of it is read, however often it is looked at; whole, it counts as one line."""
    reading, sizes = os.pread, []

    def counted(file: int, size: int, offset: int) -> bytes:
        data = reading(file, size, offset)
        sizes.append(len(data))
        return data

    foreign = follow(log)
    write(log, "first\n", "x" * 20_000_000)
    assert take(foreign) == [b"first"]
    monkeypatch.setattr(os, "pread", counted)
    for _ in range(50):
        assert foreign.read() == []
    write(log, "y" * 1000)
    assert foreign.read() == []
    assert sum(sizes) < 20_100_000 + 51 * LONGEST_LINE_BYTES
    write(log, "\nlast\n")
    assert take(foreign) == [b"x" * LONGEST_LINE_BYTES, b"last"]


def test_a_link_beside_the_log_is_no_rotation_of_it(log: Path) -> None:
    """Whoever may write in the log's directory could name a file that only we may read."""
    secret = log.with_name("secret")
    write(log, "one\n")
    foreign = follow(log)
    assert take(foreign) == [b"one"]
    secret.write_text("secret\n")
    log.rename(log.with_name("device-profile.log.2"))
    log.with_name("device-profile.log.1").symlink_to(secret)
    write(log, "two\n")
    assert take(foreign) == [b"two"]


def test_the_log_itself_may_be_a_link(log: Path) -> None:
    """As Kubernetes has them."""
    write(log.with_name("elsewhere"), "one\n")
    log.symlink_to("elsewhere")
    assert take(follow(log)) == [b"one"]


def test_a_line_without_an_end_is_searched_for_one_a_part_at_a_time(log: Path) -> None:
    """A file that was extended to 60 GiB held SIGTERM for minutes. What is rotated meanwhile is read to its end, too."""
    write(log, "a\n")
    with closing(follow(log)) as foreign:
        size = 3 * foreign_module._SEARCHED_BYTES
        os.truncate(log, size)
        with log.open("ab") as file:
            file.write(b"\nb\n")
        assert foreign.read() == [b"a"]
        log.rename(log.with_suffix(".log.1"))
        write(log, "c\n")
        parts = [foreign.read() for _ in range(10)]
        assert parts[:3] == [[]] * 3
        assert [line[:LONGEST_LINE_BYTES].strip(b"\0") for lines in parts for line in lines] == [b"", b"b", b"c"]
