"""`digests` on the embedded default: two machines, and a backup of one of them."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.command import Devicesync, delete_database, until
from tests.end_to_end.test_backup import KILLED_WHEN_DONE
from tests.integration.real import erase, registration

V = 1_600_000_000_000_000
EQUAL = {"missing_in_one": 0, "missing_in_other": 0, "stale_in_one": 0, "stale_in_other": 0, "content_differs": 0}


@pytest.fixture
def other(tmp_path: Path) -> Devicesync:
    """Another machine, which has the same devices."""
    (tmp_path / "other").mkdir()
    return Devicesync(tmp_path / "other")


def lines(*records: bytes) -> bytes:
    """A file of them."""
    return b"\n".join(records) + b"\n"


ALL = lines(*(registration(f"d{at}", V + at, city="Pune") for at in range(3000)), erase("d7", V + 9_000))


def compared(where: Devicesync, *arguments: str | Path, status: int = 0) -> Any:
    """What `digests compare` says."""
    return where.json("digests", "compare", *arguments, status=status)


def test_two_stores_are_compared_by_two_small_files(devicesync: Devicesync, other: Devicesync, tmp_path: Path) -> None:
    """To the device; only the buckets that differ are read again."""
    here, there = tmp_path / "here", tmp_path / "there"
    newer = [registration("d5", V + 9_000, city="Agra"), registration("new", V), erase("d9", V + 9_000)]
    tie = [registration("d6", V + 6, city="Quito")]  # the greater value wins
    for machine, path, more, erased in ((devicesync, here, tie, 1), (other, there, newer, 2)):
        machine.json("apply", "-", stdin=ALL + lines(*more))
        made = machine.json("digests", "make", path)
        assert (made["of"], made["profiles"], made["erased"], made["buckets"]) == ("database", 2999, erased, 0)
    assert here.stat().st_size < 100_000
    assert b"d100" not in here.read_bytes()
    told = compared(devicesync, here, there, status=1)
    assert (told["buckets"], told["unresolved"], told["devices"]) == (4, 4, [])
    assert other.json("digests", "make", there, "--against", here)["buckets"] == 4
    assert devicesync.json("digests", "make", here, "--against", there)["buckets"] == 4
    told = compared(devicesync, here, there, status=1)
    assert {each["device_id"]: each["kind"] for each in told["devices"]} == {
        "d5": "stale_in_one",
        "d6": "content_differs",
        "d9": "stale_in_one",
        "new": "missing_in_one",
    }
    assert (told["unresolved"], told["moving"]) == (0, 0)
    shown = devicesync.run("digests", "compare", here, there, "--list")
    assert shown.returncode == 1
    assert b"new  missing_in_one\n    one    nothing\n    other  version 1600000000000000  " in shown.stdout
    assert not [*tmp_path.glob("*.work")]


def test_a_store_and_its_backup(devicesync: Devicesync, tmp_path: Path) -> None:
    """A backup holds what the law makes of its records, erases too."""
    devicesync.json("apply", "-", stdin=ALL)
    assert devicesync.run("backup", "run", "--to", "backup", "--until-caught-up").returncode == 0
    devicesync.json("digests", "make", "store")
    devicesync.json("digests", "make", "kept", "--of", "backup")
    equal = compared(devicesync, "store", "kept")
    assert (equal["buckets"], equal["differences"], equal["devices"]) == (0, EQUAL, [])
    assert equal["one"]["profiles_digest"] == equal["other"]["profiles_digest"]
    shown = devicesync.run("digests", "compare", "store", "kept").stdout.decode()
    assert shown.splitlines()[0] == f"equal: 2,999 profiles, digest {equal['one']['profiles_digest']}"
    assert shown.count(" as of 20") == 2  # each file's
    devicesync.json(
        "apply", "-", stdin=lines(registration("d1", V + 9_000, city="Agra"), registration("d2", time.time_ns() // 1000))
    )
    (tmp_path / "store").unlink()
    assert devicesync.json("digests", "make", "store", "--against", "kept")["buckets"] == 2
    made = devicesync.json("digests", "make", "kept", "--of", "backup", "--against", "store")
    assert made["buckets"] == 2
    at_once = devicesync.json("digests", "make", "anew", "--of", "backup", "--against", "store")  # once it was "Damaged"
    assert (at_once["buckets"], at_once["profiles_digest"]) == (2, made["profiles_digest"])
    told = compared(devicesync, "store", "kept", status=1)
    found = {each["device_id"]: (each["kind"], each["moving"]) for each in told["devices"]}
    assert found == {"d1": ("stale_in_other", False), "d2": ("stale_in_other", True)}  # d2 came after the backup's end
    assert (told["differences"]["stale_in_other"], told["moving"]) == (1, 1)


def test_what_can_not_be_compared_is_said(devicesync: Devicesync, tmp_path: Path) -> None:
    """Each with its own words."""
    assert b"there is no database" in devicesync.run("digests", "make", "file").stderr
    devicesync.json("apply", "-", stdin=ALL)
    in_memory = devicesync.run("digests", "make", "file", "--of", "cache")
    assert (in_memory.returncode, b"lives in another process" in in_memory.stderr) == (2, True)
    assert b"there is no backup" in devicesync.run("digests", "make", "file", "--of", "nowhere").stderr
    assert not [*tmp_path.glob("file*")]
    devicesync.json("digests", "make", "file")
    (tmp_path / "text").write_text("text")
    for arguments in (("compare", "file", "text"), ("make", "file", "--against", "text")):
        refused = devicesync.run("digests", *arguments)
        assert (refused.returncode, b"text is no file of digests" in refused.stderr) == (2, True)
    devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
    refused = devicesync.run("digests", "make", "file", "--of", "backup", "--against", "file")
    assert (refused.returncode, b"has digests of the database" in refused.stderr) == (2, True)


def test_what_is_not_ours_is_not_removed(devicesync: Devicesync, tmp_path: Path) -> None:
    """Neither a directory of the name of ours, nor what a link leads to."""
    devicesync.json("apply", "-", stdin=ALL)
    theirs = tmp_path / "a.work" / "theirs"
    theirs.parent.mkdir()
    theirs.write_text("kept")
    (tmp_path / "b.work").symlink_to(theirs.parent)
    (tmp_path / "c.work").mkdir()
    (tmp_path / "c.work" / "parts").symlink_to(tmp_path / "files")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "digests").write_text("kept")
    for name in ("a", "b", "c"):
        refused = devicesync.run("digests", "make", name)
        assert (refused.returncode, b"not of an interrupted `digests make`" in refused.stderr) == (2, True)
    assert [theirs.read_text(), *tmp_path.glob("a.work/*")] == ["kept", theirs]
    assert (tmp_path / "files" / "digests").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's directory")
@pytest.mark.parametrize("theirs", ["file.work", "file.work/parts"])
def test_another_user_s_half_made_file_is_not_gone_on_with(devicesync: Devicesync, tmp_path: Path, theirs: str) -> None:
    """In a shared directory anybody can place one, and say in it what is done already."""
    devicesync.json("apply", "-", stdin=ALL)
    (tmp_path / "file.work" / "parts").mkdir(parents=True)
    os.chown(tmp_path / theirs, 54321, 54321)
    refused = devicesync.run("digests", "make", "file")
    assert (refused.returncode, b"not of an interrupted `digests make`" in refused.stderr) == (2, True)


@pytest.mark.parametrize("more", [(), ("--against", "good"), ("--restart",)])
def test_what_is_no_file_of_digests_is_not_replaced(devicesync: Devicesync, tmp_path: Path, more: tuple[str, ...]) -> None:
    """Neither a file, nor what a link leads to, nor a pipe."""
    devicesync.json("apply", "-", stdin=ALL)
    devicesync.json("digests", "make", "good")
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "link").symlink_to("theirs")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name in ("theirs", "link", "empty", "pipe"):
        refused = devicesync.run("digests", "make", name, *more)
        assert (refused.returncode, b"name another file" in refused.stderr) == (2, True)
    assert (tmp_path / "theirs").read_text() == "kept"
    assert ((tmp_path / "link").is_symlink(), (tmp_path / "pipe").is_fifo()) == (True, True)
    assert not [*tmp_path.glob("*.work")]


def test_a_damaged_file_of_ours_is_made_anew(devicesync: Devicesync, tmp_path: Path) -> None:
    """It says itself that it is one."""
    devicesync.json("apply", "-", stdin=ALL)
    devicesync.json("digests", "make", "file")
    whole = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(whole[:-1])
    assert devicesync.json("digests", "make", "file")["profiles"] == 2999


def test_nothing_of_a_database_that_was_lost_is_in_the_file(devicesync: Devicesync) -> None:
    """An interrupted run left the digests of all of it."""
    devicesync.json("apply", "-", stdin=ALL)
    assert devicesync.run_by(KILLED_WHEN_DONE, "sums_of", "1", "digests", "make", "file").returncode == -signal.SIGKILL
    delete_database(devicesync.directory)
    devicesync.json("init")
    assert devicesync.json("digests", "make", "file")["profiles"] == 0


def test_one_makes_a_file_at_a_time(devicesync: Devicesync, tmp_path: Path) -> None:
    """Another one would remove what the first is at; killed, the first is in nobody's way."""
    devicesync.json("apply", "-", stdin=ALL)
    first = devicesync.start("digests", "make", "file", "--rate", "1", ready=False)
    until((tmp_path / "file.work" / "parts" / "digests").exists)
    refused = devicesync.run("digests", "make", "file")
    assert (refused.returncode, b"is held by `devicesync digests make`, process" in refused.stderr) == (3, True)
    first.kill()
    first.wait()
    assert devicesync.json("digests", "make", "file")["profiles"] == 2999
    assert not [*tmp_path.glob("*.work")]
