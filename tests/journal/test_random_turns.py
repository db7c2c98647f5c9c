"""Processes on one journal, of which another one has its turn at any call of the system.

Two append, one of which may be killed, and rotate at nearly each line; two read; and another program writes lines of its own.
At a loss of power all end, and what was appended to a file and not synced is gone, or a part of it.
"""

import errno
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devicesync.errors import Unavailable
from devicesync.log.journal import Journal, JournalReader, lock
from tests.journal.opened import close_all, everything, open_journal, reader_of, rest
from tests.simulation.scheduler import Process, current, gate

NAME = "device-profile.log"
CHANGING = ("open", "write", "pwrite", "rename", "ftruncate", "unlink", "fdatasync", "fsync")
CALLS = (*CHANGING, "stat", "fstat", "pread", "read", "listdir", "scandir")
APPENDERS = ("0", "1")
KEPT_IN_PLACE = {".lock"}
_open, _write, _close = os.open, os.write, os.close


class _Disk:
    """Knows how much of each file is synced."""

    def __init__(self) -> None:
        self._synced: dict[int, int] = {}

    def sync(self, file: int) -> None:
        there = os.fstat(file)
        self._synced[there.st_ino] = there.st_size

    def left_without_power(self, directory: Path, chance: random.Random) -> dict[Path, int]:
        """How many bytes a loss of power now leaves of each file that is appended to."""
        appended = [path for path in directory.iterdir() if path.name.startswith(NAME) and path.suffix not in KEPT_IN_PLACE]
        sizes = {path: path.stat() for path in appended if ".reader." not in path.name}
        left = {path: min(self._synced.get(there.st_ino, 0), there.st_size) for path, there in sizes.items()}
        return {path: chance.choice([synced, chance.randint(synced, sizes[path].st_size)]) for path, synced in left.items()}


@contextmanager
def _turns(chance: random.Random, disk: _Disk) -> Iterator[None]:
    """In here each call of the system waits for its turn, and of those who append some fail, half done or not at all.

    Who waits for the lock lets others go on.
    """
    failing = chance.choice([0.0, 0.01, 0.05, 0.15])

    def in_turn(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **named: Any) -> Any:
            gate(name)
            process = current()
            if process and process.name in APPENDERS and name in CHANGING and chance.random() < failing:
                if name == "write" and chance.random() < 0.5:
                    call(given[0], given[1][: len(given[1]) // 2])
                raise OSError(errno.EIO, "injected")
            return disk.sync(*given) if name.endswith("sync") else call(*given, **named)

        return made

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, in_turn(name, getattr(os, name)))
        patch.setattr(lock, "SYSTEM", SimpleNamespace(monotonic=float, sleep=lambda seconds: gate("nap")))
        yield


class _Machine:
    """acknowledged: our records. found: what the readers have read, number by number."""

    def __init__(self, directory: Path, chance: random.Random, disk: _Disk) -> None:
        self._directory, self._chance, self._disk = directory, chance, disk
        self._segment_bytes = chance.choice([16, 25, 40])
        self._journal = self._open()
        self._acknowledged: set[bytes] = set()
        self._append(self._journal, b"the first")
        self._stays = reader_of(self._journal, "stays")
        self._found: dict[str, list[tuple[int, bytes]]] = {"stays": [], "begins anew": []}
        self._works: list[Callable[[], None]] = [
            *(lambda by=by: self._appends(by) for by in range(2)),
            self._reads,
            self._begins_anew,
            *(lambda by=by: self._writes_beside(by) for by in range(chance.choice([1, 2]))),
        ]

    def live(self, turns_with_power: int = sys.maxsize) -> None:
        """Until all of them are done, or the power is lost."""
        chance = self._chance
        processes = [Process(str(number), work) for number, work in enumerate(self._works)]
        stays_on, killed_at = chance.choice([0.0, 0.3, 0.7, 0.9]), chance.randint(5, 400)
        turns, runs = 0, processes[0]
        while living := [each for each in processes if not each.is_over]:
            if turns == turns_with_power:
                self._lose_power(living)
                break
            runs = runs if not runs.is_over and chance.random() < stays_on else chance.choice(living)
            turns += 1
            runs.step("crashes" if turns > killed_at and runs is processes[0] else "goes on")
        for each in processes:
            if each.error:
                raise each.error

    def _lose_power(self, living: list[Process]) -> None:
        left = self._disk.left_without_power(self._directory, self._chance)
        for each in living:
            each.step("crashes")
        for path, size in left.items():
            os.truncate(path, size)
        close_all()
        self._journal = self._open()
        for name, found in self._found.items():
            committed = self._journal.committed(name)
            self._found[name] = [(number, value) for number, value in found if number < committed]
        self._stays = reader_of(self._journal, "stays")

    def ends(self) -> None:
        """Readers have got each record of the journal once, under the number that it has now, and all that was acknowledged."""
        journal = self._open()
        self._append(journal, b"the last")
        self._take(self._stays, 100)
        self._take(reader_of(journal, "begins anew"), 100)
        there = everything(journal, "new")
        assert self._found == {"stays": there, "begins anew": there}
        assert [number for number, _ in there] == [*range(journal.end())]
        assert self._acknowledged <= {value for _, value in there}

    def _open(self) -> Journal:
        return open_journal(self._directory, segment_bytes=self._segment_bytes)

    def _append(self, journal: Journal, value: bytes) -> None:
        journal.append([value])
        self._acknowledged.add(value)

    def _appends(self, by: int) -> None:
        journal = None
        for count in range(self._chance.randint(2, 6)):
            with suppress(Unavailable, OSError):  # where a call fails, or another program wrote into its line
                journal = journal or self._open()
                self._append(journal, b"ours-%d-%d" % (by, count))

    def _take(self, reader: JournalReader, most: int) -> None:
        self._found[reader.name] += rest(reader, most)
        reader.commit()

    def _reads(self) -> None:
        for _ in range(self._chance.randint(5, 25)):
            self._take(self._stays, self._chance.choice([1, 2, 100]))

    def _begins_anew(self) -> None:
        for _ in range(self._chance.randint(2, 6)):
            reader = reader_of(self._journal, "begins anew")
            self._take(reader, self._chance.choice([1, 2, 100]))
            reader.close()

    def _writes_beside(self, by: int) -> None:
        """It opens the journal anew for each line, or keeps it open for some."""
        keeps_it = self._chance.choice([0.0, 0.8])
        file = -1
        for count in range(self._chance.randint(4, 30)):
            if file < 0:
                file = _open(self._directory / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                gate("opened")
            _write(file, b"another-%d-%d\n" % (by, count))
            gate("wrote")
            if self._chance.random() >= keeps_it:
                _close(file)
                file = -1
        if file >= 0:
            _close(file)


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_each_record_is_read_once_under_one_number(tmp_path: Path, first: int) -> None:
    """The line of another program took the number of the next registration, which was not applied then."""
    for seed in range(first, first + 100):
        _live(tmp_path / str(seed), random.Random(seed))


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_a_loss_of_power_takes_back_nothing_that_was_read(tmp_path: Path, first: int) -> None:
    """A line that another program had not synced was read, and gone then. A registration got its number, and was passed by."""
    for seed in range(first, first + 100):
        chance = random.Random(seed)
        _live(tmp_path / str(seed), chance, turns_with_power=chance.randint(20, 2000))


def _live(directory: Path, chance: random.Random, turns_with_power: int = sys.maxsize) -> None:
    disk = _Disk()
    with _turns(chance, disk):
        machine = _Machine(directory, chance, disk)
        machine.live(turns_with_power)
    machine.ends()
    close_all()
