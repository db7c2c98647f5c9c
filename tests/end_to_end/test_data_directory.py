"""The data directory while it is made, or damaged; and what else the command line is given."""

import fcntl
import gzip
import json
import os
import signal
import subprocess
import termios
import threading
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.end_to_end.command import COMMAND, WAIT_SECONDS, Devicesync, stopped, until


@pytest.mark.parametrize("torn", [b"", b"\0\0", b"\n"])
def test_a_torn_format_file_is_written_again(devicesync: Devicesync, seed: Path, torn: bytes) -> None:
    """The power went while the directory was made: that is no newer format."""
    devicesync.run("init")
    mark = devicesync.directory / "devicesync-data" / "format"
    mark.write_bytes(torn)
    devicesync.json("get", "232455", status=1)
    devicesync.json("apply", seed)
    assert mark.read_text() == "1\n"


@pytest.mark.parametrize("torn", [b"\xff\xfex", b"9" * 5000])
def test_a_format_file_that_is_no_number_says_what_to_do(devicesync: Devicesync, seed: Path, torn: bytes) -> None:
    """No advice to upgrade: nothing newer wrote it."""
    devicesync.run("init")
    (devicesync.directory / "devicesync-data" / "format").write_bytes(torn)
    done = devicesync.run("apply", seed)
    assert done.returncode == 2
    assert b"write 1 into it" in done.stderr


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
@pytest.mark.parametrize("name", ["hold", "device-profile.log.reader.updater"])
def test_what_is_written_in_place_is_no_link(
    devicesync: Devicesync, seed: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    """A link in its place would have another file cut and written."""
    devicesync.run("init")
    precious = devicesync.directory / "precious"
    precious.write_text("as it was")
    link(devicesync.directory / "devicesync-data" / name, precious)
    done = devicesync.run("apply", seed)
    assert (done.returncode, f"devicesync-data/{name}: ".encode() in done.stderr, b"link" in done.stderr) == (3, True, True)
    assert precious.read_text() == "as it was"


def test_apply_of_a_silent_pipe_ends_by_sigterm(devicesync: Devicesync) -> None:
    """Nobody writes and nobody closes it; what came before is applied."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "apply", "-"], cwd=devicesync.directory, stdin=ours, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    os.write(theirs, b'{"device_id":"d","api_last_updated_on":1566383863167,"city":"Pune"}\n')
    while devicesync.run("get", "d").returncode:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    os.close(theirs)
    os.close(ours)
    process.communicate()


@pytest.mark.parametrize("words", [["apply", "fifo"], ["enrich", "--to", "o", "--from", "fifo"]])
def test_a_named_pipe_that_nobody_writes_to_ends_by_sigterm(devicesync: Devicesync, words: list[str]) -> None:
    """It is opened without waiting for its writer; and what a writer does write arrives."""
    pipe = devicesync.directory / "fifo"
    os.mkfifo(pipe)
    silent = devicesync.start(*words, ready=False)
    until(lambda: any(_is_same(file, pipe) for file in Path(f"/proc/{silent.pid}/fd").iterdir()))
    assert stopped(silent) == 130
    process = devicesync.start(*words, "--json", ready=False)
    pipe.write_bytes(b'{"device_id":"d","version":1700000000000000}\n')
    assert process.stdout
    done = json.loads(process.stdout.read())
    assert done["read"] == 1
    assert process.wait() == 0


@pytest.mark.parametrize(
    "part", [b"\n" * 65_536, b"x" * 65_536, gzip.compress(b"\n" * (1 << 26))], ids=["blank", "line", "packed"]
)
@pytest.mark.parametrize("words", [["apply", "fifo"], ["enrich", "--to", "o", "--from", "fifo"]])
def test_a_pipe_without_end_ends_by_sigterm(devicesync: Devicesync, words: list[str], part: bytes) -> None:
    """Also where there is always something to read, and it is no event: blank lines, or one line."""
    pipe, is_read = devicesync.directory / "fifo", threading.Event()
    os.mkfifo(pipe)

    def write() -> None:
        with suppress(BrokenPipeError), pipe.open("wb", buffering=0) as theirs:
            while True:
                theirs.write(part * 2)  # more than the pipe holds
                is_read.set()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    process = devicesync.start(*words, ready=False)
    assert is_read.wait(WAIT_SECONDS)
    assert stopped(process) == 130
    thread.join(WAIT_SECONDS)


@pytest.mark.parametrize("words", [["simulate", "--count", "9", "--to", "fifo"], ["enrich", "--from", "events", "--to", "fifo"]])
def test_a_named_pipe_that_nobody_reads_ends_by_sigterm(devicesync: Devicesync, words: list[str]) -> None:
    """It waits for the reader, and a reader that comes gets everything."""
    pipe, events = devicesync.directory / "fifo", devicesync.directory / "events"
    os.mkfifo(pipe)
    devicesync.run("simulate", "--count", "9", "--bad", "0", "--to", events)
    unread = devicesync.start(*words, ready=False)
    if words[0] == "enrich":  # it is stopped at once before it begins
        until(lambda: any(file.exists() and file.samefile(events) for file in Path(f"/proc/{unread.pid}/fd").iterdir()))
    assert stopped(unread) == 130
    process = devicesync.start(*words, ready=False)
    assert len(pipe.read_bytes().splitlines()) == 9
    assert process.wait() == 0


@pytest.mark.parametrize("to", ["-", "/dev/stdout", "fifo"])
@pytest.mark.parametrize("words", [["simulate", "--count", "5000"], ["enrich", "--from", "events"]])
def test_a_full_pipe_that_nobody_reads_ends_by_sigterm(devicesync: Devicesync, words: list[str], to: str) -> None:
    """What a reader takes meanwhile, and then all, arrives as it is."""
    pipe, events = devicesync.directory / "fifo", devicesync.directory / "events"
    os.mkfifo(pipe)
    devicesync.run("simulate", "--count", "5000", "--bad", "0", "--to", events)
    for is_read in (False, True):
        process = devicesync.start(*words, "--to", to, ready=False)
        assert process.stdout
        with pipe.open("rb") if to == "fifo" else process.stdout as output:
            until(lambda: _waiting(output.fileno()) > 60_000)
            if is_read:
                lines = output.read().splitlines()
                assert process.wait() == 0
                assert len(lines) == 5000
            else:
                assert stopped(process) == 130


def _waiting(pipe: int) -> int:
    """How many bytes are in the pipe."""
    number = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, number)
    return number[0]


def test_another_name_of_a_silent_stdin_ends_by_sigterm(devicesync: Devicesync) -> None:
    """/dev/stdin is the same pipe as -."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "apply", "/dev/stdin"], cwd=devicesync.directory, stdin=ours, stderr=subprocess.PIPE, text=True
    )
    try:
        assert stopped(process) == 130
    finally:
        process.kill()
        os.close(theirs)
        os.close(ours)
        process.communicate()


@pytest.mark.parametrize(
    "words",
    [
        ("get", b"\xff"),
        ("erase", b"\xff"),
        ("restore", "--from", "b", "--to-stores", "--device", b"\xff"),
        ("backup", "redact", "--in", "b", "--device", b"\xff"),
        ("simulate", "--rate", "nan"),
        ("backup", "prune", "--in", "b", "--keep-days", "nan"),
        ("dead-letters", "delete", "--older-than", "1e308"),
        ("config", "--cache", "memory:?max_devices=²"),
        ("get", "d", "--cache", "memory:?max_devices=²"),
        ("get", "d", "--cache", f"memory:?max_devices={'1' * 5000}"),
        ("up", "--listen", f"127.0.0.1:{'1' * 5000}"),
        ("up", "--admin-listen", f"127.0.0.1:{'1' * 5000}"),
        ("up", "--listen", "127.0.0.1:٣"),
        ("doctor", "--cache", "redis://h:²/2"),
        ("get", "d", "--cache", "redis://h:x/2"),
    ],
)
def test_odd_arguments_are_wrong_use(devicesync: Devicesync, words: tuple[str | bytes, ...]) -> None:
    """Exit status 2, or the one of `doctor`, and never a traceback."""
    devicesync.run("init")
    done = subprocess.run([*COMMAND, *words], cwd=devicesync.directory, capture_output=True, check=False, timeout=60)
    assert done.returncode == {"doctor": 3}.get(str(words[0]), 2)
    assert b"Traceback" not in done.stderr


def _is_same(file: Path, other: Path) -> bool:
    """Whether it is this file. The process may just be closing it."""
    try:
        return file.samefile(other)
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_journal_whose_identity_is_no_file_is_refused_and_doctor_names_it(
    devicesync: Devicesync, make: Callable[[Path], None]
) -> None:
    """A backup waited for it for ever, and doctor said ok."""
    identity = devicesync.directory / "devicesync-data" / ".device-profile.log.id"
    devicesync.run("init")
    identity.unlink(missing_ok=True)
    make(identity)
    for command in (("up", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"), ("doctor",)):
        refused = devicesync.run(*command)
        assert refused.returncode != 0
        assert b"device-profile.log.id" in refused.stdout + refused.stderr
