"""What operators see of a long-running command: its log, why it ended, its admin port."""

import json
import os
import pty
import re
from typing import Any

import httpx
import pytest
from devstack.server import free_ports

from devicesync.cli.main import parser_of
from devicesync.status.declared import declared_for
from tests.end_to_end.command import Devicesync, stopped, until
from tests.end_to_end.test_readiness import admin_of, lacking

LONG = [
    ("up",),
    ("api",),
    ("update",),
    ("ship", "--ship-to", "kafka://127.0.0.1:1/t"),
    ("backup", "run", "--to", "backup"),
    ("audit", "--live"),
]


def logged(text: str) -> list[Any]:
    """Log lines; every one of them is JSON."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("command", LONG, ids=lambda command: command[0])
def test_the_log_has_one_form_and_ends_with_why(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """In a pipe JSON, the first line and the last one too; with -v also. What is not there yet is made, or waited for."""
    process = devicesync.start(*command, "-v", ready=False)
    assert process.stderr
    first = json.loads(process.stderr.readline())
    assert first["event"].startswith(f"devicesync {command[0]}: ")
    assert stopped(process) == 0
    *_, last = logged(process.stderr.read())
    assert last["event"] == f"devicesync {command[0]}: stopped by SIGTERM"


def test_the_form_and_the_level_of_the_log_can_be_chosen(devicesync: Devicesync) -> None:
    """Text in a pipe, without colours; from errors on, nothing in normal operation."""
    process = devicesync.start("up", "--log-format", "text", ready=False)
    assert process.stderr
    assert re.match(r"\d{4}-\S+ \[info +\] devicesync up: ", process.stderr.readline())
    assert stopped(process) == 0
    quiet = devicesync.start("up", "--log-level", "error", ready=False)
    assert stopped(quiet) == 0
    assert quiet.stderr
    assert quiet.stderr.read() in ("", "devicesync: stopped before it began\n")


@pytest.mark.parametrize("command", LONG, ids=lambda command: command[0])
def test_every_command_that_keeps_running_lets_its_log_be_chosen(command: tuple[str, ...]) -> None:
    """The same options everywhere; -v is --log-level debug."""
    parser = parser_of(" ".join(command[:2]) if command[0] == "backup" else command[0])
    words = [*command[2 if command[0] == "backup" else 1 :], "--log-format", "json"]
    assert parser.parse_args(words).log_level == "info"
    assert (parser.parse_args([*words, "-v"]).log_level, parser.parse_args(words).log_format) == ("debug", "json")


def test_a_command_that_fails_ends_with_why(devicesync: Devicesync) -> None:
    """As a log line, with the hint."""
    devicesync.run("init")
    (devicesync.directory / "devicesync.toml").write_text("bad_share_seconds = 0\n")
    (devicesync.directory / "devicesync-data" / "device-profile.log").write_bytes(b"bad\n" * 1000)
    failed = devicesync.run("update")
    *_, last = logged(failed.stderr.decode())
    assert (failed.returncode, last["level"], "dead-letters list" in last["hint"]) == (3, "error", True)
    assert "were refused" in last["event"]
    done = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up")
    assert logged(done.stderr.decode())[-1]["event"] == "devicesync backup: done, nothing is left to do"


def test_on_a_terminal_the_log_is_text(devicesync: Devicesync) -> None:
    """Every line of it."""
    ours, theirs = pty.openpty()
    process = devicesync.start("up", ready=False, stderr=theirs)
    os.close(theirs)
    text = ""
    while "Ctrl-C stops" not in text:
        text += os.read(ours, 10_000).decode()
    assert stopped(process) == 0
    while "stopped by SIGTERM" not in text:
        text += os.read(ours, 10_000).decode()
    assert "{" not in text


def test_update_prints_its_document(devicesync: Devicesync) -> None:
    """What it did, when it ends; `up` too."""
    devicesync.json("simulate", "--count", "500", "--bad", "0.1")
    done = devicesync.json("update", "--until-caught-up")
    assert (done["read"], done["applied"] + done["dead"], sum(done["dead_reasons"].values())) == (500, 500, done["dead"])
    assert done["dead"] > 10
    up = devicesync.start("up", "--json")
    assert stopped(up) == 0
    assert up.stdout
    assert json.loads(up.stdout.read()) == {"read": 0, "applied": 0, "dead": 0, "dead_reasons": {}}


@pytest.mark.parametrize(
    ("command", "counter"),
    [
        (("update",), "devicesync_updater_applied_total 100.0"),
        (("backup", "run", "--to", "backup", "--max-file-seconds", "0.2"), "devicesync_backup_records_total 100.0"),
    ],
    ids=["update", "backup"],
)
def test_jobs_serve_health_and_metrics_when_asked(devicesync: Devicesync, command: tuple[str, ...], counter: str) -> None:
    """/livez, /readyz, /metrics with counters that end in _total, and the lag."""
    devicesync.json("simulate", "--count", "100", "--bad", "0")
    process = devicesync.start(*command, "--admin-listen", "127.0.0.1:0", ready=False)
    with admin_of(process) as admin:
        assert admin.get("/livez").status_code == 200
        until(lambda: lacking(admin) == {})
        until(lambda: counter in admin.get("/metrics").text)
        until(lambda: "devicesync_log_lag_records 0.0" in admin.get("/metrics").text)
        assert "devicesync_log_lag_seconds 0.0" in admin.get("/metrics").text
    assert stopped(process) == 0


def test_ship_is_not_ready_without_kafka(devicesync: Devicesync) -> None:
    """It lives, and says what it lacks."""
    (port,) = free_ports(1)
    flags = ("--ship-to", f"kafka://127.0.0.1:{port}/t", "--admin-listen", "127.0.0.1:0")
    with admin_of(devicesync.start("ship", *flags, ready=False)) as admin:
        assert admin.get("/livez").status_code == 200
        assert "topic" in lacking(admin)


@pytest.mark.parametrize("command", LONG, ids=lambda command: command[0])
def test_each_command_serves_what_is_declared_for_it(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """No metric is missing and none is there that docs/reference/metrics.md does not name."""
    devicesync.run("init")
    name = " ".join(command[:2]) if command[0] in {"audit", "backup"} else command[0]
    with admin_of(devicesync.start(*command, "--admin-listen", "127.0.0.1:0", ready=False)) as admin:
        until(lambda: lacking(admin) == {} or name == "ship")
        shown = {*re.findall(r"^# TYPE (\S+) ", admin.get("/metrics").text, re.MULTILINE)}
        assert shown == declared_for(name)
        assert f'command="{name}"' in admin.get("/metrics").text


def test_counters_end_in_total(devicesync: Devicesync) -> None:
    """Whatever `up` counts; and everything that is called a counter is one."""
    up = devicesync.start("up", ready=False)
    with admin_of(up) as admin:
        devicesync.json("simulate", "--count", "100", "--bad", "1", "--seed", "3")
        devicesync.run("apply", "-", stdin=b"bad\n")
        until(lambda: 'devicesync_updater_refused_total{reason="malformed_json"}' in admin.get("/metrics").text)
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", admin.get("/metrics").text, re.MULTILINE))
    assert {name for name, kind in kinds.items() if kind == "counter"} == {name for name in kinds if name.endswith("_total")}
    assert "devicesync_updater_applied_total" in kinds


def test_without_being_asked_jobs_serve_nothing(devicesync: Devicesync) -> None:
    """So any number of them run on one host, whatever the settings file says for `up`."""
    (port,) = free_ports(1)
    (devicesync.directory / "devicesync.toml").write_text(f'admin_listen = "127.0.0.1:{port}"\n')
    update = devicesync.start("update")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/livez")
    assert stopped(update) == 0
