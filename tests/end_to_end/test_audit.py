"""`audit` on the embedded default, with whatever else runs."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.command import Devicesync, delete_database, stopped, until
from tests.end_to_end.test_backup import KILLED_WHEN_DONE

KINDS = ("missing_in_cache", "missing_in_database", "stale_in_cache", "stale_in_database", "content_differs", "resurrected")


def test_the_embedded_default_is_audited_by_what_a_reader_is_filled_with(
    devicesync: Devicesync, tmp_path: Path, seed: Path
) -> None:
    """Before anything is there, after an erase, beside a running `up`; and it leaves nothing behind."""
    assert devicesync.json("audit")["bound_95"] is None
    devicesync.json("apply", seed)
    devicesync.json("apply", "-", stdin=b'{"device_id":"gone","version":1600000000000000}')
    devicesync.json("erase", "gone")
    up = devicesync.start("up")
    found = devicesync.json("audit", "--sweep")
    assert found["differences"] == dict.fromkeys(KINDS, 0)
    assert (found["checked"], found["repaired"], found["bound_95"]) == (2, 0, 1.5)
    done = devicesync.run("audit", "--sweep", "--list", "--repair")
    assert b"2 checked, 0 differ" in done.stdout
    assert b"the memory of one process" in done.stderr
    assert stopped(up) == 0
    assert not {"audit", "audit.json"} & {file.name for file in (tmp_path / "devicesync-data").iterdir()}
    assert devicesync.run("audit", "--on", "spark:4").returncode == 2


def test_the_live_audit_goes_on_where_it_ended(devicesync: Devicesync, tmp_path: Path) -> None:
    """What is not in the stores waits to be looked at again; stopped before that, it is not counted."""
    devicesync.json("simulate", "--count", "30", "--bad", "0", "--start-ms", "1600000000000")
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    assert devicesync.json("audit", "--live", "--until-caught-up")["checked"] == 30
    assert devicesync.json("audit", "--live", "--until-caught-up")["checked"] == 0
    devicesync.json("simulate", "--count", "5", "--bad", "0", "--start-ms", "1600000000000", "--seed", "9")
    process = devicesync.start("audit", "--live", "--json")
    position = tmp_path / "devicesync-data" / "device-profile.log.reader.audit"
    until(lambda: int(position.read_bytes()[:20]) == 35)
    assert stopped(process) == 0
    assert process.stdout
    found = json.loads(process.stdout.read())
    assert (found["checked"], found["devices"]) == (0, [])


def test_nothing_that_was_seen_of_a_database_that_was_lost_counts(devicesync: Devicesync, seed: Path) -> None:
    """An interrupted sweep had looked at all of it: the next one said that all is well with its devices."""
    devicesync.json("apply", seed)
    assert devicesync.run_by(KILLED_WHEN_DONE, "_first", "1", "audit", "--sweep").returncode == -signal.SIGKILL
    delete_database(devicesync.directory)
    devicesync.json("init")
    found = devicesync.json("audit", "--sweep")
    assert (found["checked"], found["resumed"]) == (0, False)


@pytest.mark.parametrize(
    ("name", "status", "told"), [("held-0", 3, b"audit/held-0: it is no regular file"), ("suspects-1-0", 0, b"")]
)
def test_a_pipe_among_the_files_of_an_interrupted_sweep_keeps_nobody_waiting(
    devicesync: Devicesync, seed: Path, name: str, status: int, told: bytes
) -> None:
    """One to read is named, one to write is replaced."""
    devicesync.json("apply", seed)
    data = devicesync.directory / "devicesync-data"
    (data / "audit").mkdir()
    os.mkfifo(data / "audit" / name)
    with closing(sqlite3.connect(data / "device-profile.db")) as database:
        ((identity,),) = database.execute("SELECT id FROM identity")
    what = {
        "database": ["sqlite:devicesync-data/device-profile.db", identity],
        "cache": "memory:",
        "ranges": 1,
        "one_in": 1,
        "repairs": False,
    }
    (data / "audit.json").write_text(json.dumps({"what": what, "results": {"ranges": [0], "held": True}, "began_ms": 0}))
    done = devicesync.run("audit")
    assert done.returncode == status
    assert told in done.stderr
