"""What outsiders wrote reaches a terminal shown, not obeyed; and what we write is for this user alone."""

import os
import pty
import re
import subprocess
from pathlib import Path

from devicesync import data_directory
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
