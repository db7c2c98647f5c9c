"""/readyz of a running service: what it can't use, and that it heals by itself, without traffic."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.command import Devicesync, until


def admin_of(process: "subprocess.Popen[str]") -> httpx.Client:
    """A client of the admin port that a command says."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"admin on (http://[0-9.]+:[0-9]+)", line):
            return httpx.Client(base_url=found[1], timeout=60)
    raise AssertionError("no admin port was said")


def lacking(client: httpx.Client) -> Any:
    """What /readyz lacks; {} where it is ready."""
    answer = client.get("/readyz")
    found = answer.json()
    assert (answer.status_code == 200) == found["ready"] == (not found["lacking"])
    return found["lacking"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB, mounted where root may do so."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_under_log_and_database(devicesync: Devicesync, small_disk: Path) -> None:
    """Not ready while it is full, ready again when there is room; nobody registered meanwhile."""
    process = devicesync.start("up", "--data-dir", small_disk / "data", ready=False)
    with admin_of(process) as admin:
        until(lambda: lacking(admin) == {})
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"\0" * 65_536):
                    pass
            except OSError:
                pass
        until(lambda: {name for name, reason in lacking(admin).items() if "is full" in reason} == {"log", "database"})
        ballast.unlink()
        until(lambda: lacking(admin) == {})
