"""The journal's lock, where a process that was stopped holds it, and where many take turns."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal import Journal, lock
from tests.end_to_end.command import until
from tests.journal.opened import everything, open_journal

LOCK = "device-profile.log.lock"


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """As by another process."""
    file = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


class Clock:
    """Whoever waits by it waits no time at all."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lock, "SYSTEM", clock)
    return clock


@pytest.mark.usefixtures("clock")
def test_a_lock_that_another_process_keeps_is_named(tmp_path: Path) -> None:
    """Whatever needs it ends, with the file and a hint, and works when it is given back."""
    journal = open_journal(tmp_path)
    journal.append([b"a"])
    with _held(tmp_path):
        for use in (lambda: journal.append([b"b"]), journal.end, journal.check, journal.tidy, lambda: open_journal(tmp_path)):
            with pytest.raises(Unavailable, match=f"others have held .*{LOCK}") as told:
                use()
            assert "lslocks" in told.value.hint
    assert journal.append([b"c"]) == 1
    assert everything(journal) == [(0, b"a"), (1, b"c")]


def test_who_was_refused_waits_less_until_the_lock_is_free_again(tmp_path: Path, clock: Clock) -> None:
    """Else a process that ends with much to write would wait the whole time for each."""
    journal = open_journal(tmp_path)
    for _ in range(2):
        waits = []
        with _held(tmp_path):
            for _ in range(3):
                began = clock.seconds
                with pytest.raises(Unavailable):
                    journal.append([b"a"])
                waits.append(round(clock.seconds - began))
        assert waits == [10, 1, 1]
        journal.append([b"b"])


@pytest.mark.usefixtures("clock")
def test_a_journal_that_could_not_be_opened_leaves_no_file_open(tmp_path: Path) -> None:
    """`up` tries again and again."""
    open_journal(tmp_path)
    with _held(tmp_path):
        before = _open_below(tmp_path)
        with pytest.raises(Unavailable):
            open_journal(tmp_path)
        assert _open_below(tmp_path) == before


def _open_below(directory: Path) -> list[str]:
    """The files of this process that are open there. Threads of other tests may open others meanwhile."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return sorted(path for path in found if path.startswith(f"{directory}/"))


def test_a_lock_that_is_given_back_in_time_is_taken(tmp_path: Path) -> None:
    """Soon after it is free."""
    journal = open_journal(tmp_path)
    with _held(tmp_path):
        appending = threading.Thread(target=journal.append, args=([b"a"],))
        appending.start()
        time.sleep(0.1)
    appending.join()
    assert journal.end() == 1


_TAKE = """
import pathlib, sys
from devicesync.log.journal.lock import JournalLock
with JournalLock(pathlib.Path(sys.argv[1])).held():
    pathlib.Path(sys.argv[2]).touch()
"""


_STAY_NEXT = """
import fcntl, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("next", flush=True)
time.sleep(1000)
"""


@pytest.mark.usefixtures("clock")
def test_who_is_next_and_suspended_keeps_nobody_out(tmp_path: Path) -> None:
    """Nobody had the lock, and all were refused."""
    journal = open_journal(tmp_path)
    with subprocess.Popen([sys.executable, "-c", _STAY_NEXT, tmp_path / LOCK], stdout=subprocess.PIPE) as suspended:
        assert suspended.stdout
        assert suspended.stdout.readline() == b"next\n"
        assert journal.append([b"a"]) == 0
        suspended.kill()


def test_who_waits_gets_the_lock_before_the_one_that_has_it_gets_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six processes that appended without a pause, to a slow disk: each was refused now and then after 10 s."""
    monkeypatch.setattr(lock, "_TURN_SECONDS", 60.0)
    taken = tmp_path / "taken"
    own = lock.JournalLock(tmp_path / LOCK)

    def another_is_next() -> bool:
        is_next = own._is_next()
        fcntl.lockf(own._file, fcntl.LOCK_UN)
        return not is_next

    with own.held():
        waiting = subprocess.Popen([sys.executable, "-c", _TAKE, tmp_path / LOCK, taken])
        until(another_is_next)
    with own.held():
        assert taken.exists()
    assert waiting.wait() == 0
    own.close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_a_lock_that_is_no_file_of_ours_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A link made a file outside of the data directory."""
    make(tmp_path / LOCK)
    with pytest.raises(Unavailable, match=f"can't lock .*{LOCK}"):
        open_journal(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_a_lock_in_a_directory_that_was_removed_is_named(tmp_path: Path) -> None:
    """Nothing can be made anew there."""
    journal = open_journal(tmp_path / "removed")
    shutil.rmtree(tmp_path / "removed")
    with pytest.raises(Unavailable, match=f"can't lock .*{LOCK}"):
        journal.append([b"a"])


@pytest.mark.parametrize("removes", [Path.exists, Path.unlink])
def test_many_that_append_at_once_all_get_their_turn(tmp_path: Path, removes: Callable[[Path], object]) -> None:
    """None of them is refused. Where somebody removed the lock's file, all take the one that is there."""
    journals = [open_journal(tmp_path) for _ in range(2)]
    removes(tmp_path / LOCK)
    journals += [open_journal(tmp_path) for _ in range(2)]
    numbers: list[int] = []

    def append(journal: Journal) -> None:
        numbers.extend(journal.append([b"a"]) for _ in range(50))

    threads = [threading.Thread(target=append, args=(journal,)) for journal in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journals[0].end() == 200
    assert sorted(numbers) == [*range(200)]
