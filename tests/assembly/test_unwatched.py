"""A program does what the commands do, without a command line: nothing is printed, and nothing is read from arguments."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync.assembly.apply import apply
from devicesync.assembly.backup.run import backup
from devicesync.assembly.backup.verify import verify
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.profile import find
from devicesync.assembly.restore.run import Request
from devicesync.assembly.restore.stores import restore_to_stores
from devicesync.assembly.watcher import Unwatched
from devicesync.config import Settings, load
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.restore.selection import Selection
from devicesync.law.profile import profile_of

LINE = b'{"device_id":"d","api_last_updated_on":1566383863167,"city":"Bengaluru"}\n'


def settings_in(directory: Path) -> Settings:
    """The defaults, in that data directory."""
    return load({"data_dir": str(directory)}, {}).settings


def test_a_program_applies_backs_up_and_restores(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Into the stores of another data directory, with proof."""
    first, second = settings_in(tmp_path / "first"), settings_in(tmp_path / "second")
    stop, watcher, place = threading.Event(), Unwatched(), str(tmp_path / "backup")
    file = tmp_path / "events.jsonl"
    file.write_bytes(LINE)
    with capture_logs():
        assert apply(file, first, stop, watcher).summary.applied == 1
        run = LongRun(stop, watcher, until_caught_up=True)
        kept = backup(place, first, run, Limits(1 << 20, 60.0), "parquet")
    assert (kept.files, kept.records) == (1, 1)
    assert verify(place, first, watcher, deep=True)["problems"] == []
    request = Request(place, Selection(), allow_gaps=False, dry_run=False, workers=1, restart=False)
    proof = restore_to_stores(request, second, watcher)["proof"]
    assert (proof["devices"], proof["cache_differs"], proof["database_differs"]) == (1, 0, 0)
    profile = profile_of(find("d", second, "database").state)
    assert profile is not None
    assert profile["city"] == "Bengaluru"
    assert capfd.readouterr().out == ""
