"""What outsiders wrote reaches a terminal shown, not obeyed; and what we write is for this user alone."""

import os
import pty
import re
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from devicesync import data_directory
from devicesync.cli import main
from devicesync.errors import Unavailable
from devicesync.printable import printable
from tests.end_to_end.command import COMMAND, Devicesync, until

CODE = "\\u001b]0;owned\\u0007\\u009b31m"
EVENT = b'{"device_id":"d","api_last_updated_on":1566383863167,"city":"%s","device_spec":{"%s":"x"}}\n'


def on_a_terminal(directory: Path, *arguments: str) -> bytes:
    """What the command writes onto a terminal."""
    ours, theirs = pty.openpty()
    subprocess.run([*COMMAND, *arguments], cwd=directory, stdout=theirs, stderr=theirs, check=False, timeout=60)
    os.close(theirs)
    written = b""
    while True:
        try:
            written += os.read(ours, 65_536)
        except OSError:  # the other end is closed, and all is read
            os.close(ours)
            return written


def test_escape_codes_of_a_registration_do_not_reach_a_terminal(devicesync: Devicesync) -> None:
    """In get, dead-letters and backup list; a pipe still gets a dead letter byte for byte."""
    bad = b'{"city": "\x1b]0;owned\x07\xc2\x9b31m"'
    devicesync.run("apply", "-", stdin=EVENT.replace(b"%s", CODE.encode()) + bad + b"\n")
    (letter,) = devicesync.json("dead-letters", "list")["dead_letters"]
    devicesync.run("backup", "run", "--to", "b", "--format", "jsonl", "--until-caught-up")
    shown = b""
    for command in (
        ["get", "d"],
        ["get", "d", "--json"],
        ["dead-letters", "list"],
        ["dead-letters", "show", letter["id"]],
        ["backup", "list", "--in", "b"],
    ):
        shown += on_a_terminal(devicesync.directory, *command)
    shown += on_a_terminal(devicesync.directory, "get", "\x1b]0;owned\x07")
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
    assert b"\xc2\x9b" not in shown
    assert shown.count(b"\\x1b]0;owned\\x07") >= 5
    assert devicesync.run("dead-letters", "show", letter["id"]).stdout.endswith(bad + b"\n")


@pytest.mark.parametrize(
    "command",
    [
        ["CODE"],
        ["get", "x", "CODE"],
        ["get", "x", "--CODE"],
        ["get", "x", "--from", "CODE"],
        ["get", "x", "--config", "CODE"],
        ["simulate", "--count", "CODE"],
        ["audit", "--on", "CODE"],
        ["restore", "--from", "x", "--to-stores", "--until", "CODE"],
        ["restore", "--from", "x", "--to-stores", "--partitions", "CODE"],
    ],
)
def test_escape_codes_of_a_wrong_argument_do_not_reach_a_terminal(devicesync: Devicesync, command: list[str]) -> None:
    """Whether argparse refuses it, or we do."""
    done = devicesync.run(*(word.replace("CODE", "\x1b]0;owned\x07\u202e") for word in command))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"\\x1b]0;owned\\x07\\u202e" in done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & {*done.stderr.decode()}


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07\u009b31m", "a{b}", "a[b]", "{task.__class__.__mro__}"])
@pytest.mark.parametrize(
    ("command", "said"), [("verify", "verify"), ("prune --keep-days 1", "prune"), ("redact --device x", "look through")]
)
def test_a_bar_shows_the_name_of_a_backup_s_topic_as_it_is(devicesync: Devicesync, command: str, said: str, name: str) -> None:
    """Whoever writes into a bucket chooses its names. None of them is a code for the terminal, a template or markup."""
    devicesync.run("apply", "-", stdin=b'{"device_id":"d","version":1700000000000000}\n')
    devicesync.run("backup", "run", "--to", "b", "--until-caught-up")
    there = devicesync.directory / "b" / name / "dt=2023-11-14"
    there.mkdir(parents=True)
    (there / "1_0_0.parquet").touch()
    shown = on_a_terminal(devicesync.directory, "backup", *command.split(), "--in", "b")
    assert f"{said} {printable(name)}".encode() in shown
    assert b"Traceback" not in shown
    assert b"\x1b]0;owned" not in shown
    assert b"\xc2\x9b" not in shown


def test_what_a_foreign_port_says_does_not_reach_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where `status --watch` shows it again and again."""

    def answer(address: str) -> dict[str, object]:
        raise Unavailable(f"{address} is \x1b]0;owned\x07", "")

    monkeypatch.setattr("devicesync.assembly.status.status_at", answer)
    monkeypatch.setattr("devicesync.cli.status.SYSTEM.sleep", Mock(side_effect=KeyboardInterrupt))
    main.run(["status", "--watch"])
    assert "\\x1b]0;owned\\x07" in capsys.readouterr().out


def test_what_we_write_is_for_this_user_alone(devicesync: Devicesync, seed: Path) -> None:
    """Directories 0700 and files 0600 under the usual umask; and data_directory.py lists all that is in there."""
    before = os.umask(0o022)
    try:
        devicesync.start("up")
        devicesync.run("apply", seed)
        devicesync.run("apply", "-", stdin=b"bad\n")
        devicesync.run("backup", "run", "--to", "b", "--until-caught-up")
        devicesync.run("restore", "--from", "b", "--to-stores")
    finally:
        os.umask(before)
    until((devicesync.directory / "devicesync-data" / "device-profile.db-wal").exists)
    made = [
        path
        for name in ("devicesync-data", "b")
        for path in [devicesync.directory / name, *(devicesync.directory / name).rglob("*")]
    ]
    assert len(made) > 10
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    listed = re.findall(r"^    (\S.*?)(?:  |$)", data_directory.__doc__ or "", re.MULTILINE)
    named = tuple(name.strip("/") for names in listed for name in names.split(", "))
    ours = {path.name.lstrip(".") for path in (devicesync.directory / "devicesync-data").iterdir()}
    unlisted = {name for name in ours if not any(re.match(f"{re.escape(each)}($|[.-])", name) for each in named)}
    assert unlisted == set()
    assert {"hold", "backup"} <= ours


def test_doctor_says_that_others_may_read_the_data(devicesync: Devicesync) -> None:
    """A directory that was made beforehand keeps its mode; the warning names it."""
    devicesync.run("init")
    directory = devicesync.directory / "devicesync-data"
    assert "others may read" not in str(devicesync.json("doctor"))
    directory.chmod(0o755)
    assert "others may read" in str(devicesync.json("doctor"))
