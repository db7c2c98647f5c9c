"""A `digests make` that is killed while it removes what it has read."""

import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from devicesync.assembly.apply import apply
from devicesync.assembly.backup.run import backup
from devicesync.assembly.digests import make
from devicesync.assembly.digests.source import Asked
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.watcher import Unwatched
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.digests.file import load
from tests.assembly.test_unwatched import settings_in


class Killed(BaseException):
    """As by SIGKILL."""


def killed(*_: object) -> None:
    """In place of a step."""
    raise Killed


def test_nobody_goes_on_with_what_a_killed_run_was_removing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note of what was done outlived the rest: the next run was damaged by what was gone, or had too few devices."""
    settings, stop, watcher, place = settings_in(tmp_path / "data"), threading.Event(), Unwatched(), str(tmp_path / "backup")
    events, made = tmp_path / "events.jsonl", tmp_path / "made"
    events.write_text("".join(f'{{"device_id":"d{n}","api_last_updated_on":1566383863167,"city":"Pune"}}\n' for n in range(50)))
    with capture_logs():
        apply(events, settings, stop, watcher)
        backup(place, settings, LongRun(stop, watcher, until_caught_up=True), Limits(1 << 20, 60.0), "parquet")
    asked = Asked(made, place, None, 0.0, 1, restart=False)

    def removing(directory: Path) -> None:
        if not made.exists():
            shutil.rmtree(directory)
            return
        for path in directory.rglob("*"):
            if path.is_file() and path.name not in ("hold", "digests"):
                path.unlink()
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(make, "shutil", SimpleNamespace(rmtree=removing))
        with pytest.raises(Killed):
            make.make(asked, settings, watcher)
    digests = load(made).digests.profiles.all
    made.unlink()
    assert (make.make(asked, settings, watcher).digests.profiles.all, digests[0]) == (digests, 50)
    assert not made.with_name("made.work").exists()


def test_nobody_goes_on_with_what_a_killed_run_read_of_another_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two logs in one backup: the digests of one were said to be the other's, and "equal" to the first one's database."""
    stop, watcher, place = threading.Event(), Unwatched(), str(tmp_path / "backup")
    one, other = settings_in(tmp_path / "one"), settings_in(tmp_path / "other")
    other = replace(other, log=f"journal:{tmp_path / 'other' / 'old.log'}")
    for settings, count in ((one, 5), (other, 2)):
        events = tmp_path / "events.jsonl"
        events.write_text("".join(f'{{"device_id":"d{n}","api_last_updated_on":1566383863167}}\n' for n in range(count)))
        with capture_logs():
            apply(events, settings, stop, watcher)
            backup(place, settings, LongRun(stop, watcher, until_caught_up=True), Limits(1 << 20, 60.0), "parquet")
    asked = Asked(tmp_path / "made", place, None, 0.0, 1, restart=False)
    with monkeypatch.context() as patched:
        patched.setattr(make, "Digests", killed)
        with pytest.raises(Killed):
            make.make(asked, one, watcher)
    assert make.make(asked, other, watcher).digests.profiles.all[0] == 2
