"""System calls of the appenders and of the readers fail at random, as where a process has no free descriptor, or a disk errs."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from devicesync.clock import SYSTEM, SystemClock
from devicesync.errors import Unavailable
from devicesync.log.journal import Journal, JournalReader
from devicesync.log.port import Record
from tests.journal.opened import close_all, everything, open_below, open_journal, reader_of

READING = ("open", "stat", "fstat", "pread", "read", "listdir")
WRITING = (*READING, "write", "pwrite", "fdatasync", "fsync", "rename", "ftruncate", "unlink")
STEPS = (
    ["append"] * 4 + ["append_that_fails"] * 3 + ["read"] * 2 + ["read_that_fails"] * 5 + ["restart", "start_that_fails", "tidy"]
)


@contextmanager
def _failing(names: tuple[str, ...], chance: random.Random, most_calls: int) -> Iterator[None]:
    """One of the next such calls of the system fails, or all of them from one on. The failure is caught."""
    left, lasts = chance.randrange(most_calls), chance.random() < 0.4

    def fails() -> bool:
        nonlocal left
        left -= 1
        return left == -1 or (left < -1 and lasts)

    def failing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def call_or_fail(*given: Any, **named: Any) -> Any:
            if not fails():
                return call(*given, **named)
            if name == "write":
                call(given[0], given[1][: len(given[1]) // 2])
            raise OSError(chance.choice([errno.EMFILE, errno.EIO]), "injected")

        return call_or_fail

    with suppress(Unavailable, OSError), pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(os, name, failing(name, getattr(os, name)))
        yield


class Failures:
    """Two appenders and a reader of one journal.

    taken: when what was acknowledged was taken, in ms, and its number. found: what the reader has read, number by number.
    """

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self._directory, self._chance = directory, chance
        self._count = 0
        self._journals = [self._open(), self._open()]
        self._reader = reader_of(self._journals[0], "updater")
        self.taken: dict[bytes, tuple[int | None, int]] = {}
        self.found: list[tuple[int, bytes]] = []

    def append(self) -> None:
        values = [b"record-%d" % (self._count + each) for each in range(self._chance.choice([1, 1, 2, 5]))]
        self._count += len(values)
        journal = self._chance.choice(self._journals)
        first = journal.append(values)
        self.taken |= {value: (journal.taken_ms(), number) for number, value in enumerate(values, first)}

    def append_that_fails(self) -> None:
        with _failing(WRITING, self._chance, 60):
            self.append()

    def read(self) -> None:
        records = self._reader.poll(self._chance.choice([1, 2, 4, 20]), 0)
        self.check_times(records)
        self.found += [(record.offset, record.value or b"") for record in records]

    def check_times(self, records: list[Record]) -> None:
        """Each has the time at which it was taken: an updater would refuse what is too far ahead of that."""
        for record in records:
            taken_ms, number = self.taken.get(record.value or b"", (record.logged_ms, record.offset))
            assert (record.logged_ms, record.offset) == (taken_ms, number)

    def read_that_fails(self) -> None:
        with _failing(READING, self._chance, 30):
            self.read()

    def tidy(self) -> None:
        with _failing(WRITING, self._chance, 30):
            self._journals[0].tidy()

    def restart(self) -> None:
        self._reader.commit()
        self._reader.close()
        for each in self._journals:
            each.close()
        self._journals = [self._open(), self._open()]
        self._reader = reader_of(self._journals[0], "updater")

    def start_that_fails(self) -> None:
        started: list[Journal | JournalReader] = []
        with _failing(WRITING, self._chance, 60):
            started.append(self._open())
            started.append(reader_of(self._journals[0], "another"))
        for each in started:
            each.close()

    def _open(self) -> Journal:
        return open_journal(self._directory, segment_bytes=25)


def _life(directory: Path, seed: int) -> None:
    chance = random.Random(seed)
    failures = Failures(directory, chance)
    for _ in range(chance.randint(10, 40)):
        getattr(failures, chance.choice(STEPS))()
    failures.append()
    before = None
    while before != failures.found:
        before = [*failures.found]
        failures.read()
    assert failures.found == everything(open_journal(directory), "new")
    failures.check_times(reader_of(open_journal(directory), "another new one").poll(1000, 0))
    numbers = [number for number, _ in failures.found]
    assert numbers == sorted(set(numbers))
    assert {(number, value) for value, (_, number) in failures.taken.items()} <= {*failures.found}
    close_all()
    assert not open_below(directory)


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_all_that_was_acknowledged_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """By a reader whose calls failed, and by a new one; the next call of an appender goes well; and no file stays open.

    Nothing counts as lost.
    """
    for name in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, name, int)  # a slow disk tells no more
    began_us = SYSTEM.now_us()
    with capture_logs() as told:
        for seed in range(first, first + 20):
            seconds = count()  # a call each
            monkeypatch.setattr(SystemClock, "now_us", lambda _, seconds=seconds: began_us + next(seconds) * 1_000_000)
            _life(tmp_path / str(seed), seed)
    assert told == []
