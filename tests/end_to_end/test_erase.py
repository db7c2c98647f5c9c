"""`erase`, of what can't be erased."""

import time
from contextlib import closing

from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.state import state_of
from tests.end_to_end.command import Devicesync


def test_an_erase_that_the_log_would_refuse_says_why(devicesync: Devicesync) -> None:
    """The row lies an hour ahead, by another job's clock: nothing is written, and the message says so."""
    devicesync.run("init")
    ahead = time.time_ns() // 1000 + 3_600_000_000
    row = decode(b'{"device_id":"d","version":%d,"city":"Pune"}' % ahead, taken_ms=ahead // 1000)
    with closing(SqliteDatabase(devicesync.directory / "devicesync-data" / "device-profile.db")) as database:
        database.merge({"d": state_of(row)})
    done = devicesync.run("erase", "d")
    assert done.returncode == 2
    assert b"can't be erased: version" in done.stderr
    assert b"another clock" in done.stderr
    assert (devicesync.directory / "devicesync-data" / "device-profile.log").read_bytes() == b""
    assert b"can't be erased: device_id" in devicesync.run("erase", "a\nb").stderr
