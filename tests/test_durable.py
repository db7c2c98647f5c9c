"""Replacing a file: it is whole whenever anybody looks, and as durable as the call says."""

import os
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from devicesync import durable

WRITES_FOR_EVER = """
import itertools, pathlib, sys
from devicesync import durable
for number in itertools.count():
    durable.replace(pathlib.Path(sys.argv[1]), b"%d" % (number % 10) * 1_000_000, durable=False)
    print(flush=True)
"""


def test_a_file_is_replaced_whole_and_for_its_user_alone(tmp_path: Path) -> None:
    """Its content and its permissions, and nothing else is left."""
    path = tmp_path / "file"
    for content in (b"one", b"two"):
        durable.replace(path, content, durable=True)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """And no other file."""
    path = tmp_path / "file"
    durable.replace(path, b"before", durable=False)
    with suppress(OSError), durable.replacing(path, durable=True) as beside:
        beside.write_bytes(b"half")
        raise OSError("the disk is full")
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_place_of_the_new_file_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user of a shared directory can place one between any two of our steps."""
    (tmp_path / "ours").write_bytes(b"kept")
    place = tmp_path / ".file.1"
    place.symlink_to("ours")
    monkeypatch.setattr(durable, "_remove_left", lambda path: None)
    monkeypatch.setattr(durable, "_beside", lambda path: place)
    with pytest.raises(FileExistsError):
        durable.replace(tmp_path / "file", b"new", durable=False)
    assert (tmp_path / "ours").read_bytes() == b"kept"


def test_two_writers_never_publish_each_other_s_half(tmp_path: Path) -> None:
    """In two containers both may be process 1, and write one file of a shared backup."""
    path = tmp_path / "file"
    first, second = durable.replacing(path, durable=False), durable.replacing(path, durable=False)
    first.__enter__().write_bytes(b"first")
    half = second.__enter__()
    half.write_bytes(b"ha")
    with suppress(FileNotFoundError):
        first.__exit__(None, None, None)
    assert not path.exists()
    half.write_bytes(b"half and half")
    second.__exit__(None, None, None)
    assert path.read_bytes() == b"half and half"


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """What it had begun is removed by the next one."""
    path = tmp_path / "file"
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        for _ in range(20):
            writer.stdout.readline()
        writer.kill()
    content = path.read_bytes()
    assert len(content) == 1_000_000
    assert set(content) == {content[0]}
    (tmp_path / f".file.{writer.pid}").write_bytes(b"half")
    (tmp_path / ".file.id").write_bytes(b"another's")
    durable.replace(path, b"next", durable=False)
    assert sorted(tmp_path.iterdir()) == [tmp_path / ".file.id", path]


@pytest.mark.parametrize("strong", [True, False])
def test_a_durable_file_is_on_the_disk_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, strong: bool) -> None:
    """The file is synced before it gets its name, the directory afterwards; otherwise nothing waits for the disk."""
    path, fsync = tmp_path / "file", os.fsync
    synced: list[tuple[str, bool]] = []

    def spy(file: int) -> None:
        fsync(file)
        synced.append(("directory" if Path(f"/proc/self/fd/{file}").is_dir() else "file", path.exists()))

    monkeypatch.setattr(os, "fsync", spy)
    durable.replace(path, b"content", durable=strong)
    assert synced == ([("file", False), ("directory", True)] if strong else [])
    synced.clear()
    with durable.begun_anew(path) as file:
        file.write(b"new")
        assert synced == []
    assert synced == [("file", True), ("directory", True)]


def test_what_helps_where_a_file_cant_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite says "disk I/O error" of some files where the disk is full, so it is the disk that is asked."""
    path = tmp_path / "file"
    assert "check the path" in durable.hint_for(path, full=False)
    assert "free some space" in durable.hint_for(path, full=True)
    monkeypatch.setattr(durable, "_LEAST_BYTES", 1 << 80)
    assert "free some space" in durable.hint_for(path, full=False)
    assert "check the path" in durable.hint_for(tmp_path / "missing" / "file", full=False)


def test_a_file_that_is_begun_anew_is_not_what_was_there(tmp_path: Path) -> None:
    """A pipe would wait for its readers, and a link leads to another file."""
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    for put_there in (
        os.mkfifo,
        lambda path: path.symlink_to(other),
        lambda path: path.hardlink_to(other),
        lambda path: path.write_bytes(b"longer"),
    ):
        path = tmp_path / "file"
        put_there(path)
        with durable.begun_anew(path) as file:
            file.write(b"new")
        assert (path.read_bytes(), other.read_bytes()) == (b"new", b"theirs")
        path.unlink()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """A pipe would wait for its writers."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="it is no regular file"):
            durable.opened(path)


def test_a_file_is_read_into_its_own_size_of_memory(tmp_path: Path) -> None:
    """In pieces that were joined it took twice that: a pruned range's erasures have up to 128 MiB."""
    (path := tmp_path / "file").write_bytes(bytes(20 << 20))
    tracemalloc.start()
    try:
        assert len(durable.content_of(path, 1 << 30)) == 20 << 20
        assert tracemalloc.get_traced_memory()[1] < 25 << 20
    finally:
        tracemalloc.stop()
    assert durable.beginning_of(path, 5) == bytes(5)
