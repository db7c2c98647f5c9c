"""`status`: the figures of a running command."""

import io
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
from devstack.server import free_ports

from devicesync.assembly.status import status_at
from devicesync.errors import Unavailable
from tests.end_to_end.command import COMMAND, Devicesync, until
from tests.end_to_end.test_readiness import admin_of, lacking


def test_the_figures_once_and_as_a_document(devicesync: Devicesync) -> None:
    """What `up` has done, as lines and as JSON."""
    with admin_of(devicesync.start("up", ready=False)) as admin:
        until(lambda: lacking(admin) == {})
        port = f"127.0.0.1:{admin.base_url.port}"
        devicesync.json("simulate", "--count", "50", "--bad", "0")
        devicesync.run("apply", "-", stdin=b"bad\n")
        until(lambda: devicesync.json("status", "--admin-listen", port)["totals"]["applied"] >= 50)
        found = devicesync.json("status", "--admin-listen", port)
        assert (found["command"], found["ready"], found["lag"]["records"]) == ("up", True, 0)
        shown = devicesync.run("status", "--admin-listen", port).stdout.decode()
        assert shown.startswith("devicesync up ")
        assert list(found["uses"]) == ["log", "cache", "database", "data_dir"]
        assert f"data_dir    {devicesync.directory}/devicesync-data\n" in shown
        assert found["uses"]["log"] in admin.get("/").text
        assert all(word in shown for word in ("ready", "freshness   p50 ", "events/s", "lag         0 records", "applied     5"))


def test_nothing_answers(devicesync: Devicesync) -> None:
    """What to do is said; another server is told apart; --watch makes no documents."""
    (port,) = free_ports(1)
    failed = devicesync.run("status", "--admin-listen", f"127.0.0.1:{port}")
    assert (failed.returncode, b"does not answer" in failed.stderr, b"hint: is it running?" in failed.stderr) == (3, True, True)
    assert devicesync.run("status", "--admin-listen", "nowhere").returncode == 2
    assert devicesync.run("status", "--watch", "--json").returncode == 2


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"ready":true}', b"[" * 100_000, b"1" * 5000, b"\xff", b""])
def test_a_foreign_port_is_told_apart(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """Whatever it answers."""
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(body))
    with pytest.raises(Unavailable, match="no admin port"):
        status_at("http://127.0.0.1:1")


def test_what_lacks_something_is_not_well(devicesync: Devicesync) -> None:
    """A `ship` without Kafka: its figures, what it lacks, and exit status 3."""
    (kafka,) = free_ports(1)
    flags = ("--ship-to", f"kafka://127.0.0.1:{kafka}/t", "--admin-listen", "127.0.0.1:0")
    with admin_of(devicesync.start("ship", *flags, ready=False)) as admin:
        done = devicesync.run("status", "--admin-listen", f"127.0.0.1:{admin.base_url.port}")
        assert (done.returncode, b"not ready" in done.stdout, b"topic" in done.stdout) == (3, True, True)
        assert f"ship_to     kafka://127.0.0.1:{kafka}/t\n" in done.stdout.decode()


def test_watched_on_a_terminal_until_interrupted(devicesync: Devicesync, tmp_path: Path) -> None:
    """The figures move in their place; it ends well."""
    with admin_of(devicesync.start("up", ready=False)) as admin:
        until(lambda: lacking(admin) == {})
        ours, theirs = pty.openpty()
        words = ("status", "--watch", "--admin-listen", f"127.0.0.1:{admin.base_url.port}")
        watching = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stdout=theirs)
        os.close(theirs)
        shown = ""
        while shown.count("devicesync up ") < 2:
            shown += os.read(ours, 10_000).decode()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
        os.close(ours)
