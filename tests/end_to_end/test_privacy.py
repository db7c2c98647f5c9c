"""What an erase leaves behind on a machine's disk goes, in bounded time."""

import json
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.end_to_end.command import Devicesync, until

MARK = "Markedplace"
SOON = {
    "DEVICESYNC_JOURNAL_SEGMENT_SECONDS": "0.2",
    "DEVICESYNC_JOURNAL_RETENTION_SECONDS": "0.2",
    "DEVICESYNC_MAX_CLOCK_AHEAD_SECONDS": "2",  # the journal keeps its records for so long, at least
    "DEVICESYNC_DEAD_LETTER_RETENTION_SECONDS": "2",
}


def event(device: str, number: int, **fields: object) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return json.dumps({"device_id": device, "api_last_updated_on": now_ms - 1000 + number} | fields).encode() + b"\n"


def marked(directory: Path) -> Counter[str]:
    """How often the mark stands in which file."""
    found: Counter[str] = Counter()
    for path in directory.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # segments go meanwhile
            if count := path.read_bytes().count(MARK.encode()):
                found[path.name] = count
    return found


def test_after_an_erase_nothing_of_it_stays_on_disk(devicesync: Devicesync) -> None:
    """Journal, database, its write-ahead log and dead letters, under an `up` without traffic, each within its limit."""
    directory = devicesync.directory / "devicesync-data"
    neighbours = b"".join(event(f"n{number}", 0, city="Elsewhere", fcm_token="x" * 300) for number in range(300))
    devicesync.run("apply", "-", stdin=neighbours + event("bad", 0, city={"a": MARK}))
    assert marked(directory)["dead-letters.db-wal"] + marked(directory)["dead-letters.db"] > 0  # until `up`: the limit is 2 s
    devicesync.start("up", variables=SOON)
    for number in range(3):
        long = {"raw": MARK * (number * 400 + 1)}
        lines = event("gone", number, city=MARK, fcm_token=MARK + "-token", uaspec=long, device_spec={"os": MARK})
        devicesync.run("apply", "-", stdin=lines + neighbours[: 200 * number] + event("bad", 0, city={"a": MARK}))
    assert marked(directory)["device-profile.db-wal"] + marked(directory)["device-profile.db"] > 0
    devicesync.json("erase", "gone")
    until(lambda: not marked(directory))
    assert devicesync.json("get", "n7")["profile"]["city"] == "Elsewhere"
    assert devicesync.json("get", "gone", status=1)["erased"]


@pytest.mark.parametrize(
    ("name", "table", "command", "status"),
    [
        ("device-profile.db", "device_profile", ["erase", "gone"], 0),
        ("dead-letters.db", "dead_letter", ["dead-letters", "delete", "--older-than", "0"], 1),
    ],
)
def test_what_stays_while_another_process_reads_is_told(
    devicesync: Devicesync, name: str, table: str, command: list[str], status: int
) -> None:
    """It goes with the same command, when the other has ended; which finds no more letters."""
    directory = devicesync.directory / "devicesync-data"
    devicesync.run("apply", "-", stdin=event("gone", 0, city=MARK) + event("bad", 0, city={"a": MARK}))
    with closing(sqlite3.connect(f"file:{directory / name}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(f"SELECT * FROM {table} LIMIT 1").fetchall()
        done = devicesync.run(*command)
        assert (done.returncode, done.stderr.count(b"what was deleted is still in the file")) == (0, 1), done.stderr
        assert marked(directory)[name] > 0
    done = devicesync.run(*command)
    assert (done.returncode, b"still" in done.stderr) == (status, False), done.stderr
    assert not {file for file in marked(directory) if file.startswith(name)}
