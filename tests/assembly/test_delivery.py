"""A command that writes waits for another one that holds the data directory, says so, and can be stopped meanwhile."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync import data_directory
from devicesync.assembly.delivery import delivering
from devicesync.config import load
from devicesync.errors import Stopped
from devicesync.jobs.delivery import BesideUpdater, OwnUpdater


def test_a_short_command_is_waited_for(tmp_path: Path) -> None:
    """It lets go when it is waited for: nothing else can end the test."""
    held = data_directory.Hold(tmp_path, "restore")

    class LetsGo(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            held.release()
            return super().wait(timeout)

    with capture_logs() as said, delivering(load({"data_dir": str(tmp_path)}, {}).settings, "apply", LetsGo()) as delivery:
        assert isinstance(delivery, OwnUpdater)
        holder = data_directory.holder(tmp_path)
        assert holder
        assert holder.command == "apply"
    assert "is held by `devicesync restore`" in said[0]["reason"]
    assert [line["event"] for line in said] == ["waiting", "going on"]


def test_a_waiting_command_can_be_stopped(tmp_path: Path) -> None:
    held = data_directory.Hold(tmp_path, "restore")
    stop = threading.Event()
    stop.set()
    with (
        capture_logs(),
        pytest.raises(Stopped),
        delivering(load({"data_dir": str(tmp_path)}, {}).settings, "apply", stop),
    ):
        pass
    held.release()


def test_a_long_running_updater_is_not_waited_for(tmp_path: Path) -> None:
    held = data_directory.Hold(tmp_path, "up")
    settings = load({"data_dir": str(tmp_path)}, {}).settings
    with capture_logs() as said, delivering(settings, "apply", threading.Event()) as delivery:
        assert isinstance(delivery, BesideUpdater)
    assert not said
    held.release()
