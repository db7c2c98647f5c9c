"""The journal on a quiet host: segments are closed and dropped by their age, whether or not anybody appends."""

import errno
import os
import time
from pathlib import Path
from unittest import mock

import pytest

from devicesync.clock import SYSTEM
from devicesync.durable import replace
from devicesync.errors import Unavailable
from devicesync.log.journal import Journal, rotation, tail
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.rotation import set_aside
from tests.journal.opened import open_journal, reader_of, rest


def test_a_quiet_journal_is_rotated_by_age_and_dropped(tmp_path: Path) -> None:
    """Nobody appends any more; what all readers have passed goes once it is old enough, and numbers go on."""
    journal = open_journal(tmp_path, segment_seconds=0.05, retention_seconds=0)
    reader = reader_of(journal, "updater")
    journal.append([b"personal"])
    rest(reader)
    reader.commit()
    time.sleep(0.06)
    journal.tidy()
    assert _grep(tmp_path, b"personal") == []
    assert journal.append([b"next"]) == 1
    assert rest(reader) == [(1, b"next")]


def test_what_a_clock_wrote_that_was_ahead_goes_in_its_time(tmp_path: Path) -> None:
    """A year ahead for one registration: it stayed for a year, and so did what was erased of it."""
    journal = open_journal(tmp_path, segment_seconds=3600, retention_seconds=2)
    reader = reader_of(journal, "updater")
    a_year_ahead = SYSTEM.now_us() + 31_536_000_000_000
    with mock.patch.object(SYSTEM, "now_us", return_value=a_year_ahead):
        journal.append([b"personal"])
    rest(reader)
    reader.commit()
    journal.tidy()
    (closed,) = _grep(tmp_path, b"personal")
    os.utime(closed, (a_year_ahead / 1e6, a_year_ahead / 1e6))
    journal.tidy()
    time.sleep(2.1)
    journal.tidy()
    assert _grep(tmp_path, b"personal") == []


def read_through(directory: Path, lines: list[bytes], count: int, *, retention_seconds: float) -> Journal:
    """A journal of so many segments with these lines, which its only reader has passed."""
    journal = open_journal(directory, segment_bytes=10, retention_seconds=retention_seconds)
    reader = reader_of(journal, "updater")
    for _ in range(count):
        journal.append(lines)
    rest(reader)
    reader.commit()
    return journal


def test_a_clock_that_is_behind_for_a_while_makes_no_segment_older(tmp_path: Path) -> None:
    """A machine started in the year 2006, before NTP set its clock. The next start dropped the journal's last days."""
    journal = read_through(tmp_path, [b"registered", b"more"], 3, retention_seconds=3600)
    tomorrow = SYSTEM.now_us() / 1e6 + 86_400
    for closed in _grep(tmp_path, b"registered"):  # and before, it was ahead
        os.utime(closed, (tomorrow, tomorrow))
    for years in (20, 10, 20):
        with mock.patch.object(SYSTEM, "now_us", return_value=SYSTEM.now_us() - years * 31_536_000_000_000):
            journal.tidy()
        journal.tidy()
    assert len(_grep(tmp_path, b"registered")) == 3


def test_segments_of_a_clock_that_was_ahead_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """Each was stamped anew only when the one before was gone, so the last of ten stayed ten times as long."""
    journal = read_through(tmp_path, [b"personal", b"more"], 5, retention_seconds=0.05)
    journal.append([b"next"])
    a_year_ahead = SYSTEM.now_us() / 1e6 + 31_536_000
    for closed in _grep(tmp_path, b"personal"):
        os.utime(closed, (a_year_ahead, a_year_ahead))
    journal.tidy()
    time.sleep(0.1)
    journal.tidy()
    assert _grep(tmp_path, b"personal") == []


def test_times_of_a_closed_segment_that_somebody_removed_are_made_anew(tmp_path: Path) -> None:
    """A reader waited for them until the next rotation or start."""
    journal = open_journal(tmp_path, segment_bytes=10)
    reader = reader_of(journal, "updater")
    for number in range(3):
        journal.append([b"record-%d" % number, b"more"])
    (tmp_path / f"device-profile.log.{2:020d}.times").unlink()
    journal.tidy()
    assert len(rest(reader)) == 6


def test_an_old_segment_stays_while_a_reader_needs_it(tmp_path: Path) -> None:
    """Its age alone does not drop a record that was not read yet."""
    journal = open_journal(tmp_path, segment_seconds=0.01, retention_seconds=0)
    reader = reader_of(journal, "updater")
    journal.append([b"unread"])
    time.sleep(0.02)
    journal.tidy()
    assert [path.name for path in _grep(tmp_path, b"unread")] == [f"device-profile.log.{0:020d}"]
    assert rest(reader) == [(0, b"unread")]


def test_a_segment_stays_where_no_times_tell_its_end(tmp_path: Path) -> None:
    """The reader has passed its first record, and the times of what follows it are damaged: nobody knows whether it has passed all."""
    journal = open_journal(tmp_path, segment_bytes=10, retention_seconds=0)
    journal.append([b"first", b"unread"])
    journal.append([b"next"])
    reader = reader_of(journal, "updater")
    assert [record.value for record in reader.poll(1, 0)] == [b"first"]
    reader.commit()
    (tmp_path / "device-profile.log.times").write_bytes(b"\xff" * 32)
    journal.tidy()
    assert [path.name for path in _grep(tmp_path, b"unread")] == [f"device-profile.log.{0:020d}"]


def test_no_segment_stays_for_an_audit(tmp_path: Path) -> None:
    """It may be that nobody runs one any more. Reading goes on at the first record that is there."""
    journal = open_journal(tmp_path, segment_seconds=0.01, retention_seconds=0)
    audit, updater = reader_of(journal, "audit"), reader_of(journal, "updater")
    journal.append([b"unaudited"])
    rest(updater)
    updater.commit()
    time.sleep(0.02)
    journal.tidy()
    assert _grep(tmp_path, b"unaudited") == []
    journal.append([b"next"])
    assert rest(audit) == [(1, b"next")]


def test_the_age_of_a_segment_counts_from_its_first_record(tmp_path: Path) -> None:
    """A journal that was empty for long is not rotated at its first record, also when opened anew."""
    journal = open_journal(tmp_path, segment_seconds=3600)
    times = tmp_path / "device-profile.log.times"
    times.write_bytes(times.read_bytes()[:24] + b"\0" * 8)  # made in 1970
    journal.close()
    journal = open_journal(tmp_path, segment_seconds=3600)
    journal.append([b"one"])
    journal.close()
    journal = open_journal(tmp_path, segment_seconds=3600)
    journal.append([b"two"])
    journal.tidy()
    assert (tmp_path / "device-profile.log").read_bytes() == b"one\ntwo\n"


def _grep(directory: Path, text: bytes) -> list[Path]:
    return [path for path in directory.iterdir() if text in path.read_bytes()]


@pytest.mark.parametrize("active_is_there", [False, True])
@pytest.mark.parametrize("starts", [False, True])
def test_a_segment_whose_rotation_was_cut_short_is_not_too_old_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, starts: bool, active_is_there: bool
) -> None:
    """Its times had not followed it yet: by them it ended where it begins."""
    journal = open_journal(tmp_path, retention_seconds=3600)
    reader = reader_of(journal, "updater")
    journal.append([b"registered"])
    rest(reader)
    journal.append([b"more"])
    reader.commit()
    reader.close()
    files = JournalFiles(tmp_path / "device-profile.log")
    with monkeypatch.context() as killed:
        killed.setattr(rotation, "finish_rotation", lambda _: None)
        set_aside(files)
    if active_is_there:
        files.active.touch()
    os.utime(files.closed(0), (time.time() - 7200,) * 2)
    if starts:
        journal = open_journal(tmp_path, retention_seconds=3600)
    else:
        journal.tidy()
    assert rest(reader_of(journal, "updater")) == [(1, b"more")]


@pytest.mark.parametrize("starts", [False, True])
def test_on_a_full_disk_what_is_too_old_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, starts: bool) -> None:
    """A rotation found no room for the next segment. So nothing was dropped any more: 503 for good, and no start went well."""
    journal = read_through(tmp_path, [b"registered", b"more"], 4, retention_seconds=3600)
    old = JournalFiles(tmp_path / "device-profile.log").closed_firsts()
    for closed in _grep(tmp_path, b"registered"):
        os.utime(closed, (time.time() - 7200,) * 2)
    made = replace

    def made_where_there_is_room(path: Path, content: bytes, *, durable: bool) -> None:
        if set(old) <= set(JournalFiles(tmp_path / "device-profile.log").closed_firsts()):
            raise OSError(errno.ENOSPC, "No space left on device")
        made(path, content, durable=durable)

    monkeypatch.setattr(tail, "replace", made_where_there_is_room)
    with pytest.raises(Unavailable, match="No space left"):
        journal.append([b"next"])
    if starts:
        journal = open_journal(tmp_path, retention_seconds=3600)
    else:
        journal.tidy()
    assert journal.append([b"next"]) == 8
