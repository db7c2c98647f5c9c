"""Descriptors above 1,023, as a process with many connections has them: `select` takes none, and `apply` ended with a traceback."""

import fcntl
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devicesync.assembly import line_output
from devicesync.assembly.waiting_input import WaitingInput

HIGH = 1_100


@pytest.fixture
def high() -> Iterator[tuple[int, int]]:
    """A pipe's ends to read and to write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * HIGH:
        pytest.skip(f"a process may have {hard} descriptors here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * HIGH), hard))
    ends = os.pipe()
    raised = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, HIGH) for end in ends]
    yield raised[0], raised[1]
    for each in (*ends, *raised):
        os.close(each)


def test_one_is_read(high: tuple[int, int]) -> None:
    os.write(high[1], b"line\n")
    buffer = bytearray(10)
    assert WaitingInput(high[0], threading.Event()).readinto(memoryview(buffer)) == 5
    assert buffer[:5] == b"line\n"


def test_one_is_written(high: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_output, "_opened", lambda *_: high[1])
    with line_output.lines_into(Path("pipe"), threading.Event()) as write:
        write([b"line"])
    assert os.read(high[0], 10) == b"line\n"
