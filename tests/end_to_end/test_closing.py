"""What a command opens it closes, whether it ends well or not."""

import gc
import os
from pathlib import Path

import pytest

from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import WrongUse
from tests.end_to_end.command import Devicesync

LEFT_OPEN = Path(__file__).parents[1] / "left_open.py"
COMMANDS: list[tuple[int, list[str]]] = [
    (0, ["init"]),
    (0, ["simulate", "--count", "10"]),
    (0, ["update", "--until-caught-up"]),
    (0, ["apply", "events"]),
    (3, ["apply", "bad"]),
    (2, ["apply", "missing"]),
    (0, ["get", "d"]),
    (0, ["get", "d", "--from", "database"]),
    (1, ["get", "unknown"]),
    (0, ["erase", "e"]),
    (2, ["erase", ""]),
    (0, ["dead-letters", "list"]),
    (1, ["dead-letters", "show", "none"]),
    (0, ["dead-letters", "replay"]),
    (0, ["dead-letters", "delete", "--older-than", "0"]),
    (0, ["doctor"]),
    (2, ["rebuild"]),
    (0, ["backup", "run", "--to", "b", "--until-caught-up"]),
    (0, ["backup", "verify", "--in", "b"]),
    (0, ["restore", "--from", "b", "--to-stores"]),
    (0, ["restore", "--from", "b", "--to-stores", "--dry-run"]),
    (2, ["update", "--until-caught-up", "--database", "sqlite:events"]),
]


def test_commands_close_what_they_open(devicesync: Devicesync, tmp_path: Path) -> None:
    """One after the other in one data directory; each says what it left open."""
    lines = [f'{{"device_id":"{name}","api_last_updated_on":1566383863167,"city":"x"}}\n' for name in "de"]
    (tmp_path / "events").write_text("".join([*lines, "bad\n"]))
    (tmp_path / "bad").write_text("bad\n" * 2000)
    for status, words in COMMANDS:
        done = devicesync.run_by(LEFT_OPEN, *words)
        assert (words, done.returncode) == (words, status), done.stderr
        assert (words, done.stderr.splitlines()[-1]) == (words, b"left open:")


def test_a_database_that_can_t_be_opened_is_closed(tmp_path: Path) -> None:
    """Also while somebody keeps the error, and with it every variable on its way."""
    path = tmp_path / "text.db"
    path.write_text("this is no database, and long enough to be seen as none" * 100)
    with pytest.raises(WrongUse) as caught:
        SqliteDatabase(path)
    assert caught.value.hint
    assert [name for name in open_files() if name.startswith(str(path))] == []


def open_files() -> list[str]:
    """The paths of this process' open files."""
    gc.collect()
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - some are gone when they are looked at
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115 - as above
        except OSError:
            continue
    return found
