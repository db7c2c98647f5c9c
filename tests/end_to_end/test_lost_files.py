"""Files of the data directory that somebody deletes, while it is worked with or not."""

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.command import WAIT_SECONDS, Devicesync, delete_database, until


def event(device: str) -> bytes:
    return json.dumps({"device_id": device, "city": "Pune", "api_last_updated_on": time.time_ns() // 1_000_000}).encode() + b"\n"


def test_a_deleted_database_is_filled_from_the_journal(devicesync: Devicesync) -> None:
    """The position was about the former database: the journal is applied again, and it says so."""
    devicesync.run("apply", "-", stdin=event("a") + event("b"))
    delete_database(devicesync.directory)
    done = devicesync.run("apply", "-", stdin=event("c"))
    assert b"applied again" in done.stderr
    assert [devicesync.json("get", each)["profile"]["city"] for each in "abc"] == ["Pune"] * 3
    assert b"applied again" not in devicesync.run("apply", "-", stdin=event("d")).stderr


def test_an_older_copy_of_the_database_is_filled_from_the_journal(devicesync: Devicesync) -> None:
    """It says up to where it was applied: what came after is applied again, and no more."""
    there = devicesync.directory / "devicesync-data"
    devicesync.run("apply", "-", stdin=event("a"))
    copy = (there / "device-profile.db").read_bytes()
    devicesync.run("apply", "-", stdin=event("b"))
    delete_database(devicesync.directory)
    (there / "device-profile.db").write_bytes(copy)
    told = devicesync.run("apply", "-", stdin=event("c")).stderr
    assert b"The rest is applied again" in told
    assert b'"from_record": 1' in told
    assert [devicesync.json("get", each)["profile"]["city"] for each in "abc"] == ["Pune"] * 3


def test_what_a_removed_wal_had_is_read_again(devicesync: Devicesync) -> None:
    """As people do with files that look stale after kill -9."""
    there = devicesync.directory / "devicesync-data"
    devicesync.run("apply", "-", stdin=event("a"))
    _apply_and_kill(devicesync, "b")
    for suffix in ("-wal", "-shm"):
        (there / f"device-profile.db{suffix}").unlink()
    assert b"The rest is applied again" in devicesync.run("apply", "-", stdin=event("c")).stderr
    assert [devicesync.json("get", each)["profile"]["city"] for each in "abc"] == ["Pune"] * 3
    assert b"applied again" not in devicesync.run("apply", "-", stdin=event("d")).stderr


def test_after_a_kill_nothing_is_read_again(devicesync: Devicesync) -> None:
    """Where the files stay, and it says nothing."""
    _apply_and_kill(devicesync, "a")
    done = devicesync.run("apply", "-", "--json", stdin=event("b"))
    assert json.loads(done.stdout)["applied"] == 1
    assert b"applied again" not in done.stderr


def test_a_database_deleted_under_up_ends_it(devicesync: Devicesync) -> None:
    """SQLite would go on in the deleted file. It ends with status 3 instead, and the next start fills a new one."""
    running = devicesync.start("up")
    devicesync.run("apply", "-", stdin=event("a"))
    delete_database(devicesync.directory)
    devicesync.run("apply", "-", stdin=event("b"))
    assert running.wait(30) == 3
    assert running.stderr
    assert "deleted" in running.stderr.read()
    devicesync.start("up")
    until(lambda: devicesync.run("get", "b").returncode == 0)
    assert devicesync.json("get", "a")["profile"]["city"] == "Pune"


def test_an_older_copy_written_into_the_database_under_up_ends_it(devicesync: Devicesync) -> None:
    """It would write a newer position beside the older rows: what they lack would be gone, and nothing would say so."""
    database, copy = devicesync.directory / "devicesync-data" / "device-profile.db", devicesync.directory / "copy.db"
    running = devicesync.start("up")
    devicesync.run("apply", "-", stdin=event("a"))
    _write_into(copy, database)
    devicesync.run("apply", "-", stdin=event("b"))
    _write_into(database, copy)
    devicesync.run("apply", "-", stdin=event("c"))
    assert running.wait(WAIT_SECONDS) == 3
    assert running.stderr
    assert "an older copy was written into the database" in running.stderr.read()
    devicesync.run("apply", "-", stdin=event("d"))
    assert [devicesync.json("get", each)["profile"]["city"] for each in "abcd"] == ["Pune"] * 4


def test_an_older_copy_written_by_cp_under_up_ends_it(devicesync: Devicesync) -> None:
    """Where the -wal was empty, SQLite itself would never notice. What the copy lacks is applied again (408 of 441 were gone)."""
    database, copy = devicesync.directory / "devicesync-data" / "device-profile.db", devicesync.directory / "copy.db"
    running = devicesync.start("up")
    devicesync.run("apply", "-", stdin=event("a"))
    _empty_wal(devicesync)
    shutil.copyfile(database, copy)
    devicesync.run("apply", "-", stdin=event("b"))
    _empty_wal(devicesync)
    devicesync.run("apply", "-", stdin=event("b"))  # it is in the -wal
    shutil.copyfile(copy, database)
    devicesync.run("apply", "-", stdin=event("c"))
    assert running.wait(WAIT_SECONDS) == 3
    assert running.stderr
    assert "an older copy was written into the database" in running.stderr.read()
    refused = devicesync.run("apply", "-", stdin=event("d"))
    assert (refused.returncode, b"does not belong to the file beside it, which is an older copy" in refused.stderr) == (3, True)
    for suffix in ("-wal", "-shm"):  # as it says
        database.with_name(database.name + suffix).unlink()
    devicesync.run("apply", "-", stdin=event("d"))
    assert [devicesync.json("get", each)["profile"]["city"] for each in "abcd"] == ["Pune"] * 4


def _empty_wal(devicesync: Devicesync) -> None:
    """`up` does it some seconds after an erase."""
    erase = {"device_id": "erased", "version": time.time_ns() // 1000, "erase": True}
    devicesync.run("apply", "-", stdin=json.dumps(erase).encode() + b"\n")
    until(lambda: (devicesync.directory / "devicesync-data" / "device-profile.db-wal").stat().st_size == 0)


def _write_into(target: Path, source: Path) -> None:
    """As `.restore` of sqlite3 does."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=WAIT_SECONDS)) as new:
        old.backup(new)


def test_a_journal_deleted_under_up_goes_on(devicesync: Devicesync) -> None:
    """What is acknowledged afterwards is applied without a restart."""
    running = devicesync.start("up")
    devicesync.run("apply", "-", stdin=event("a") * 3)
    (devicesync.directory / "devicesync-data" / "device-profile.log").unlink()
    devicesync.json("apply", "-", stdin=event("b"))
    assert devicesync.json("get", "b")["profile"]["city"] == "Pune"
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait(30) == 0


def _apply_and_kill(devicesync: Devicesync, device: str) -> None:
    running = devicesync.start("up")
    devicesync.run("apply", "-", stdin=event(device))
    running.kill()
    running.wait(WAIT_SECONDS)


_APPLY, _GET, _LIST = ["apply", os.devnull], ["get", "a"], ["dead-letters", "list"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("hold", _APPLY),
        ("device-profile.log", _APPLY),
        ("device-profile.log", ["erase", "a"]),
        ("device-profile.log", ["up"]),
        ("device-profile.log", ["backup", "run", "--to", "bucket", "--until-caught-up"]),
        (f"device-profile.log.{0:020d}", _APPLY),
        ("device-profile.log.times", _APPLY),
        ("device-profile.log.reader.updater", _APPLY),
        ("device-profile.db", _GET),
        ("dead-letters.db", _LIST),
    ],
)
def test_a_pipe_in_a_file_s_place_is_refused(devicesync: Devicesync, name: str, command: list[str]) -> None:
    """It is not waited for, by who only reads neither: nobody may ever write into it."""
    for device in ("a", "b"):
        devicesync.run("apply", "-", stdin=event(device))
    file = devicesync.directory / "devicesync-data" / name
    file.unlink(missing_ok=True)
    os.mkfifo(file)
    running = devicesync.start(*command, ready=False, whole=True)
    try:
        _, told = running.communicate(timeout=WAIT_SECONDS / 4)
    finally:
        running.kill()
    assert (running.returncode, told.count(f"{name}: it is no regular file") or told) == (3, 1)
