"""The journal's own promises: grouped syncs, torn lines, rotation, retention, several processes, kill -9."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.errors import Held, Unavailable
from devicesync.log.journal.appender import Appender
from devicesync.log.journal.files import JournalFiles
from devicesync.log.journal.tail import Limits
from tests.journal.opened import everything, open_journal, reader_of, rest


def test_the_file_is_plain_json_lines(tmp_path: Path) -> None:
    """device-profile.log holds exactly what was appended, one line each."""
    open_journal(tmp_path).append([b'{"a":1}', b'{"b":2}'])
    assert (tmp_path / "device-profile.log").read_bytes() == b'{"a":1}\n{"b":2}\n'


def test_numbers_go_on_through_rotation_and_reopening(tmp_path: Path) -> None:
    """Records count from 0 for the journal's whole life."""
    expected = []
    for number in range(60):
        journal = open_journal(tmp_path, segment_bytes=100)
        assert journal.append([b"record-%d" % number, b"x" * 30]) == number * 2
        expected += [(number * 2, b"record-%d" % number), (number * 2 + 1, b"x" * 30)]
        journal.close()
    journal = open_journal(tmp_path, segment_bytes=100)
    assert everything(journal) == expected
    assert len(list(tmp_path.glob("device-profile.log.0*"))) > 20
    assert journal.end() == 120


def test_concurrent_callers_share_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone who waits while a sync runs is served by the next one."""
    sync = os.fdatasync

    def slowly(file: int) -> None:
        time.sleep(0.01)
        sync(file)

    monkeypatch.setattr(os, "fdatasync", slowly)
    journal = open_journal(tmp_path)
    threads = [threading.Thread(target=lambda: [journal.append([b"x"]) for _ in range(10)]) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.end() == 320
    assert journal.syncs <= 320 / 5


def test_a_torn_last_line_is_cut_before_the_next_append(tmp_path: Path) -> None:
    """It was never acknowledged; no reader takes it, and it does not glue to what follows."""
    journal = open_journal(tmp_path)
    journal.append([b"whole"])
    with (tmp_path / "device-profile.log").open("ab") as file:
        file.write(b'{"torn')
    assert everything(journal) == [(0, b"whole")]
    journal.close()
    again = open_journal(tmp_path)
    assert again.append([b"next"]) == 1
    assert everything(again, "other") == [(0, b"whole"), (1, b"next")]


def test_a_failed_append_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a write: Unavailable with a hint, and the next append goes on cleanly."""
    journal = open_journal(tmp_path)
    journal.append([b"one"])
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 40:
            write(file, bytes(data)[:37])
            raise OSError(28, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match="No space left") as raised:
        journal.append([b"a" * 30, b"b" * 30])
    assert "free some space" in raised.value.hint
    monkeypatch.setattr(os, "write", write)
    assert journal.append([b"two"]) == 2
    assert everything(journal) == [(0, b"one"), (1, b"a" * 30), (2, b"two")]


def test_lines_that_a_stranger_appends_count(tmp_path: Path) -> None:
    """Someone's `cat >> device-profile.log` is read too; such lines have no time of their own."""
    journal = open_journal(tmp_path)
    journal.append([b"ours"])
    with (tmp_path / "device-profile.log").open("ab") as file:
        file.write(b"theirs\r\n\n  \nmore\n")
    journal.append([b"ours again"])
    reader = reader_of(journal, "reader")
    records = reader.poll(10, 0)
    assert [(record.offset, record.value) for record in records] == [
        (0, b"ours"),
        (1, b"theirs"),
        (4, b"more"),
        (5, b"ours again"),
    ]
    assert [record.logged_ms is None for record in records] == [False, True, True, False]


def test_a_file_that_was_put_there_becomes_the_beginning(tmp_path: Path) -> None:
    """A journal without its times, restored from somewhere, is read from its first line."""
    (tmp_path / "device-profile.log").write_bytes(b"old-1\nold-2\n")
    journal = open_journal(tmp_path)
    assert journal.append([b"new"]) == 2
    assert everything(journal) == [(0, b"old-1"), (1, b"old-2"), (2, b"new")]


def test_segments_go_when_every_reader_passed_and_the_retention_allows(tmp_path: Path) -> None:
    """The slowest reader decides; an old enough segment that all have passed goes at the next rotation."""
    journal = open_journal(tmp_path, segment_bytes=100, retention_seconds=0)
    fast, slow = reader_of(journal, "fast"), reader_of(journal, "slow")
    for _ in range(10):
        journal.append([b"x" * 60])
    rest(fast)
    fast.commit()
    journal.append([b"x" * 200])
    assert [offset for offset, _ in rest(slow)] == list(range(11))
    slow.commit()
    journal.append([b"last"])
    assert len(list(tmp_path.glob("device-profile.log.0*[0-9]"))) == 1
    assert rest(fast)[-1] == (11, b"last")


def test_retention_keeps_what_is_young(tmp_path: Path) -> None:
    """Passed by every reader, but too young to go."""
    journal = open_journal(tmp_path, segment_bytes=100, retention_seconds=3600)
    reader = reader_of(journal, "reader")
    for _ in range(10):
        journal.append([b"x" * 60])
        rest(reader)
        reader.commit()
    assert everything(journal, "newcomer")[0] == (0, b"x" * 60)


def test_a_rotation_cut_short_is_finished(tmp_path: Path) -> None:
    """After each step of a rotation: the next opening ends up with every record under its number."""
    for step in range(3):
        directory = tmp_path / str(step)
        directory.mkdir()
        journal = open_journal(directory)
        journal.append([b"a", b"b"])
        journal.close()
        active, closed = directory / "device-profile.log", directory / f"device-profile.log.{0:020d}"
        active.rename(closed)
        if step >= 1:
            active.with_name(active.name + ".times").rename(closed.with_name(closed.name + ".times"))
        if step >= 2:
            Appender(JournalFiles(active), Limits(100, 0, 0)).close()
            active.unlink()
        again = open_journal(directory)
        assert again.append([b"c"]) == 2
        assert everything(again) == [(0, b"a"), (1, b"b"), (2, b"c")]


def test_one_reader_of_a_name_at_a_time(tmp_path: Path) -> None:
    """Two would share one position; the second is told so."""
    journal = open_journal(tmp_path)
    first = reader_of(journal, "updater")
    with pytest.raises(Held, match="updater"):
        reader_of(journal, "updater")
    first.close()
    reader_of(journal, "updater").close()


def test_records_have_the_time_at_which_they_were_taken(tmp_path: Path) -> None:
    """In ms, and the same for every reader and after reopening."""
    journal = open_journal(tmp_path)
    before = time.time_ns() // 1_000_000
    journal.append([b"one"])
    time.sleep(0.02)
    journal.append([b"two"])
    first, second = reader_of(journal, "a").poll(2, 0)
    assert before <= first.taken_ms < second.taken_ms <= time.time_ns() // 1_000_000
    assert reader_of(open_journal(tmp_path), "b").poll(2, 0) == [first, second]


WRITER = """
import sys
from pathlib import Path
from devicesync.log.journal import Journal
journal = Journal(Path(sys.argv[1]) / "device-profile.log", segment_bytes=20_000, retention_seconds=3600)
number = 0
while True:
    values = [b"%s-%d" % (sys.argv[2].encode(), number + spot) + b"x" * 50 for spot in range(3)]
    first = journal.append(values)
    print(first, number, flush=True)
    number += 3
"""


def test_several_processes_and_kill_nine(tmp_path: Path) -> None:
    """What was acknowledged to any of three writers before kill -9 is there, whole, in each writer's order."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE) for name in "abc"]
    journal = open_journal(tmp_path)
    while journal.end() < 3000:
        time.sleep(0.05)
    acknowledged = {}
    for writer, name in zip(writers, "abc", strict=True):
        writer.send_signal(signal.SIGKILL)
        output = writer.communicate()[0].split(b"\n")
        acknowledged.update({tuple(map(int, line.split())): name for line in output[:-1] if line})
    found = everything(journal)
    assert [offset for offset, _ in found] == list(range(len(found)))
    for (first, number), name in acknowledged.items():
        assert found[first][1] == b"%s-%d" % (name.encode(), number) + b"x" * 50
    assert len(acknowledged) > 30
    assert all(len(value.split(b"-")) == 2 and value.endswith(b"x" * 50) for _, value in found)


def test_a_reader_that_the_full_disk_refused_can_be_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives its lock back."""
    journal = open_journal(tmp_path)
    journal.append([b"a"])
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", _refuse)
        with pytest.raises(Unavailable):
            journal.reader("updater")
    with closing(journal.reader("updater")) as reader:
        assert [record.value for record in reader.poll(10, 0)] == [b"a"]


def _refuse(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_is_closed_twice_closes_no_other_file(tmp_path: Path) -> None:
    """The system gives the same numbers to the next files that are opened."""
    journal = open_journal(tmp_path)
    journal.append([b"a"])
    reader = reader_of(journal, "reader")
    assert rest(reader)
    reader.close()
    journal.close()
    others = [os.open(tmp_path, os.O_RDONLY) for _ in range(20)]
    reader.close()
    journal.close()
    for other in others:
        os.close(other)
