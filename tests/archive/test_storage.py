"""Where a backup is: for its user alone, and without showing the password of its URL."""

import errno
import os
from pathlib import Path

import pytest

from devicesync.archive.storage import Storage
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged, DevicesyncError, Unavailable, WrongUse


def test_what_a_backup_makes_is_for_its_user_alone(tmp_path: Path) -> None:
    """Whatever the umask: push tokens and places are in it."""
    before = os.umask(0o022)
    try:
        storage = Storage(str(tmp_path / "made" / "backup"))
        storage.put_bytes("a/b/c.json", b"{}")
        storage.put(tmp_path / "made" / "backup" / "a" / "b" / "c.json", "a/d.parquet")
    finally:
        os.umask(before)
    made = [*(tmp_path / "made").rglob("*"), tmp_path / "made"]
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_file()} == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in made if path.is_dir()} == {"0o700"}


def test_a_file_is_created_once(tmp_path: Path) -> None:
    """Of several the first one stays, whole, also where a link or a directory is in its place; nothing else is left."""
    storage = Storage(str(tmp_path / "backup"))
    for data in (b"first", b"second"):
        storage.create("a/1.json", data)
        assert storage.read_bytes("a/1.json", 100) == b"first"
    assert [path.name for path in (tmp_path / "backup" / "a").iterdir()] == ["1.json"]
    assert (tmp_path / "backup" / "a" / "1.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "backup" / "a" / "2.json").symlink_to("nowhere")
    (tmp_path / "backup" / "a" / "3.json").mkdir()
    for name in "23":
        storage.create(f"a/{name}.json", b"ours")
    assert storage.read_bytes("a/2.json", 100) is None


@pytest.mark.parametrize("place", ["memory:/", ""])
def test_where_a_new_file_can_t_be_told_from_a_replaced_one_a_moment_passes(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that knows no condition, or a file system without hard links. Who came last is seen then; who came before stays."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, f"no hard links: {self} to {target}")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    ours, theirs = Storage(f"{place}{tmp_path}/backup"), Storage(f"{place}{tmp_path}/backup")
    if place:
        pipe_file = ours._files.pipe_file

        def without_condition(path: str, data: bytes, mode: str = "overwrite") -> None:
            if mode == "create":
                raise OSError(errno.ENOSYS, "a header that is not implemented")
            pipe_file(path, data)

        ours._files.pipe_file = without_condition
    monkeypatch.setattr(SYSTEM, "sleep", lambda seconds: theirs.put_bytes("1.json", b"%d" % seconds), raising=False)
    ours.create("1.json", b"ours")
    assert ours.read_bytes("1.json", 100) == b"1"


def test_nothing_is_removed_behind_a_link_out_of_the_backup(tmp_path: Path) -> None:
    """Another backup's files may lie there. The backup's own directory may be a link, and a link in a file's place goes itself."""
    theirs = tmp_path / "theirs" / "day" / "1.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    (tmp_path / "real" / "topic" / "day").mkdir(parents=True)
    (tmp_path / "backup").symlink_to("real")
    (tmp_path / "real" / "topic" / "linked").symlink_to(theirs.parent)
    (tmp_path / "real" / "other").symlink_to(theirs.parent.parent)
    (tmp_path / "real" / "topic" / "day" / "2.parquet").symlink_to(theirs)
    (tmp_path / "real" / "topic" / "day" / "1.parquet").write_bytes(b"ours")
    storage = Storage(str(tmp_path / "backup"))
    for path in ("topic/linked/1.parquet", "other/day/1.parquet", "topic/linked/../day/1.parquet"):
        with pytest.raises(Damaged, match=path):
            storage.remove(path)
    for path in ("topic/day/1.parquet", "topic/day/2.parquet", "topic/day/1.parquet", "nowhere/1.parquet"):
        storage.remove(path)
    assert [*(tmp_path / "real" / "topic" / "day").iterdir()] == []
    assert theirs.read_bytes() == b"theirs"


def test_what_can_never_be_read_is_damaged_and_is_not_waited_for(tmp_path: Path) -> None:
    """A link to itself, a file in a directory's place, a name that no file can have, a pipe."""
    (tmp_path / "file").write_bytes(b"{}")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "around").symlink_to("around/on")
    os.mkfifo(tmp_path / "pipe")
    storage = Storage(str(tmp_path))
    for path in ("loop", "around/1.json", "file/1.json", "n" * 300, "pipe", "."):
        with pytest.raises(Damaged):
            storage.read_bytes(path, 100)
    for path in ("around/1.json", "file/1.json", "n" * 300):
        with pytest.raises(Damaged):
            storage.size(path)
    assert storage.fetch("loop", tmp_path / "into", 100) is None
    assert [storage.names(path) for path in ("loop", "file/x", "around", "n" * 300)] == [[]] * 4
    storage.remove("around/x/1.json")


def test_what_can_never_be_written_is_damaged_and_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe, a file or a link to itself in a directory's place. A link to a disk that is away may lead somewhere later."""
    backup = tmp_path / "backup"
    backup.mkdir()
    (tmp_path / "file").write_bytes(b"what is put")
    (backup / "file").write_bytes(b"{}")
    (backup / "loop").symlink_to("loop")
    (backup / "away").symlink_to("nowhere")
    os.mkfifo(backup / "pipe")
    storage = Storage(str(backup))
    for place in ("file", "loop", "pipe"):
        for path in (f"{place}/1.json", f"{place}/0/1.json"):
            for write in (storage.put_bytes, storage.create):
                with pytest.raises(Damaged, match=f"^{path} can't be written: "):
                    write(path, b"")
            with pytest.raises(Damaged, match=f"^{path} can't be written: "):
                storage.put(tmp_path / "file", path)
    with pytest.raises(Unavailable):
        storage.put_bytes("away/1.json", b"")


def test_a_file_that_grows_while_it_is_opened_is_read_to_its_bound(tmp_path: Path) -> None:
    """Nobody measures it before."""
    (tmp_path / "large").write_bytes(b"x" * 101)
    with pytest.raises(Damaged, match="more than 100 bytes"):
        Storage(str(tmp_path)).read_bytes("large", 100)
    assert Storage(str(tmp_path)).read_bytes("large", 101) == b"x" * 101


@pytest.mark.parametrize(("url", "kind"), [("ftp://127.0.0.1:1/x", Unavailable), ("", WrongUse), ("nosuch://x/y", WrongUse)])
def test_a_place_that_can_not_be_used_is_told_in_a_sentence(url: str, kind: type[DevicesyncError]) -> None:
    """Some kinds of fsspec connect as soon as they are made."""
    with pytest.raises(kind) as caught:
        Storage(url)
    assert caught.value.hint


@pytest.mark.parametrize(
    "url", [f"{kind}://user:{secret}@127.0.0.1:1/x" for kind in ("http", "nosuch") for secret in ("S3cret", "p/S3cret@x%21")]
)
def test_the_password_of_a_url_is_shown_nowhere(url: str) -> None:
    """Neither in errors nor in what is printed."""
    try:
        storage = Storage(url)
        told = storage.url
        with pytest.raises(DevicesyncError) as caught:
            storage.put_bytes("a", b"")
        told += str(caught.value) + caught.value.hint
    except WrongUse as error:
        told = str(error)
    assert ("S3cret" in told, "user:***@" in told) == (False, True)


SLIPS = ["http:/u:PW@h/x", " s3:/PW@bucket", "s3::/u:PW@bucket", "s3a:PW@bucket", "file:/PW", "data:PW", "dir::s3:/u:PW@b"]


@pytest.mark.parametrize("place", [*SLIPS, *map(str.upper, SLIPS[:3])])
def test_a_url_without_its_slashes_is_no_directory(place: str) -> None:
    """A slip of the pen: its password became a directory's name, and was printed."""
    with pytest.raises(WrongUse) as refused:
        Storage(place)
    assert "PW" not in f"{refused.value} {refused.value.hint}"
    assert Storage("./data:here").is_local
