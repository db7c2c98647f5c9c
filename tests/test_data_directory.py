"""The data directory: several processes may make it at once, and its module names every file in it."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from devicesync import data_directory
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import DevicesyncError, Unavailable
from devicesync.log.journal import Journal

PROCESSES, TURNS = 6, 40
STEPS: tuple[Callable[[Path], object], ...] = (
    data_directory.prepare,
    lambda directory: Journal(directory / data_directory.JOURNAL, segment_bytes=1000, retention_seconds=0).close(),
    lambda directory: SqliteDatabase(directory / data_directory.DATABASE).close(),
    lambda directory: SqliteDeadLetters(directory / data_directory.DEAD_LETTERS).close(),
)


def make(together: Barrier, root: Path, wrong: Any) -> None:
    """Make one directory after the other, each step at the same moment as the others do."""
    for turn in range(TURNS):
        directory = root / str(turn)
        for step in STEPS:
            together.wait(60)
            try:
                step(directory)
            except DevicesyncError as error:
                wrong.put(str(error))


def test_a_pipe_as_the_format_hangs_nobody(tmp_path: Path) -> None:
    """Nor as the hold: whoever opens a pipe to read waits for a writer."""
    os.mkfifo(tmp_path / "format")
    os.mkfifo(tmp_path / "hold")
    data_directory.check_format(tmp_path)
    assert data_directory.holder(tmp_path) is None
    with pytest.raises(Unavailable, match="format: it is no regular file"):
        data_directory.prepare(tmp_path)


def test_six_processes_make_one_data_directory_at_once(tmp_path: Path) -> None:
    """None finds it locked or half made, in forty turns."""
    forking = multiprocessing.get_context("fork")
    together, wrong = forking.Barrier(PROCESSES), forking.SimpleQueue()
    makers = [forking.Process(target=make, args=(together, tmp_path, wrong)) for _ in range(PROCESSES)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert [maker.exitcode for maker in makers] == [0] * PROCESSES
    assert wrong.empty(), wrong.get()
