"""`erase`, of what lies ahead or can't be erased."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.assembly.named_log import followed_path, journal_exists
from devicesync.config import load
from devicesync.database.sqlite import SqliteDatabase
from devicesync.law.event import decode
from devicesync.law.state import state_of
from devicesync.log.journal import Journal
from tests.end_to_end.command import Devicesync


def put_ahead(devicesync: Devicesync, seconds: int) -> None:
    """Give device d a row that lies so far ahead, as another job's clock might."""
    devicesync.run("init")
    ahead = time.time_ns() // 1000 + seconds * 1_000_000
    row = decode(b'{"device_id":"d","version":%d,"city":"Pune"}' % ahead, taken_ms=ahead // 1000)
    with closing(SqliteDatabase(devicesync.directory / "devicesync-data" / "device-profile.db")) as database:
        database.merge({"d": state_of(row)})


@pytest.mark.parametrize(("seconds", "limit_seconds"), [(3600, 300), (200, 5)])
def test_an_erase_that_the_log_would_refuse_says_why(devicesync: Devicesync, seconds: int, limit_seconds: int) -> None:
    """The row lies further ahead than the updaters take: nothing is written, and the message says so, and their limit."""
    put_ahead(devicesync, seconds)
    limit = {"DEVICESYNC_MAX_CLOCK_AHEAD_SECONDS": str(limit_seconds)}
    done = devicesync.run("erase", "d", variables=limit)
    assert done.returncode == 2
    assert b"can't be erased: version" in done.stderr
    assert b"more than %d ms past" % (limit_seconds * 1000) in done.stderr
    assert b"another clock" in done.stderr
    assert (devicesync.directory / "devicesync-data" / "device-profile.log").read_bytes() == b""
    assert b"can't be erased: device_id" in devicesync.run("erase", "a\nb").stderr


def test_a_device_that_lies_ahead_is_erased_where_the_updaters_take_it(devicesync: Devicesync) -> None:
    """The row lies 30 minutes ahead, and they take an hour."""
    put_ahead(devicesync, 1800)
    limit = {"DEVICESYNC_MAX_CLOCK_AHEAD_SECONDS": "3600"}
    assert devicesync.run("erase", "d", variables=limit).returncode == 0
    assert devicesync.run("get", "d").returncode == 1


def test_it_is_erased_where_a_rotation_was_cut_short(devicesync: Devicesync) -> None:
    """The journal has then no active segment. It counted as none: "neither store knows it", and the next `up` showed the device."""
    data = devicesync.directory / "devicesync-data"
    data.mkdir()
    with closing(Journal(data / "device-profile.log", segment_bytes=1 << 20, retention_seconds=60)) as journal:
        journal.append([b'{"device_id":"d","api_last_updated_on":1566383863167,"city":"Pune"}'])
    (data / "device-profile.log").rename(data / f"device-profile.log.{0:020d}")
    assert b"no journal" not in devicesync.run("doctor").stderr
    assert devicesync.run("erase", "d").returncode == 0
    assert devicesync.run("get", "d").returncode == 1


def test_a_log_that_goes_while_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a rotation does. A start beside one ended with status 3."""
    settings = load({"data_dir": str(tmp_path), "log": f"journal:{tmp_path / 'x' / 'device-profile.log'}"}, {}).settings
    assert not journal_exists(settings)
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    assert followed_path(settings) is None
