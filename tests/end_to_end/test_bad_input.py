"""Bad input of every kind that issue 4 names, given to the commands."""

import base64
import gzip
import json
import os
from pathlib import Path

import pytest

from devicesync.log.journal import Journal
from devicesync.log.whole_lines import LONGEST_LINE_BYTES
from tests.end_to_end.command import Devicesync

GOOD = b'{"device_id":"good","version":1600000000000000}'


@pytest.mark.parametrize(
    ("data", "read", "reasons"),
    [
        (b"", 0, {}),
        (GOOD, 1, {}),
        (GOOD + b"\r\n" + GOOD + b"\r\n", 2, {}),
        (b"\xef\xbb\xbf" + GOOD + b"\n", 1, {}),
        (b"[" * 10_000 + b"]" * 10_000 + b"\n" + GOOD, 2, {"malformed_json": 1}),
        (b'{"device_id":"d","version":NaN}\n' + GOOD, 2, {"malformed_json": 1}),
        (b'{"device_id":"x","device_id":"good","version":1600000000000000}', 1, {}),
        (b'{"device_id":"d","version":99999999999999999999999}\n' + GOOD, 2, {"version_in_future": 1}),
        (b"\x00\n" + GOOD, 2, {"malformed_json": 1}),
    ],
    ids=["empty", "no final newline", "CRLF", "BOM", "10,000 brackets", "NaN", "duplicate keys", "beyond 64 bits", "NUL"],
)
def test_files(devicesync: Devicesync, data: bytes, read: int, reasons: dict[str, int]) -> None:
    """Each is read to its end, and the good line in it is applied."""
    (devicesync.directory / "file").write_bytes(data)
    applied = devicesync.json("apply", "file")
    assert (applied["read"], applied["dead_reasons"]) == (read, reasons)
    assert devicesync.run("get", "good").returncode == (0 if data else 1)


def test_names_that_are_no_utf_8(devicesync: Devicesync) -> None:
    """Of files, data directories and backups: a name is bytes. What was refused is found by a text that shows them."""
    name = os.fsdecode(b"\xff")
    (devicesync.directory / name).write_bytes(GOOD + b"\njunk\n")
    where = ("--data-dir", f"data-{name}")
    assert devicesync.json("apply", name, *where)["dead"] == 1
    assert devicesync.json("dead-letters", "list", *where)["dead_letters"][0]["source"] == r"\udcff"
    with (devicesync.directory / f"data-{name}" / "device-profile.log").open("ab") as journal:
        journal.write(b"junk\n")
    assert devicesync.run("update", "--until-caught-up", *where).returncode == 0
    assert devicesync.json("dead-letters", "list", *where)["total"] == 2
    assert devicesync.run("enrich", "--from", name, "--to", "enriched", *where).returncode == 0
    for command in ("init", "config", "doctor"):
        assert r"data-\\udcff" in json.dumps(devicesync.json(command, *where))
    assert devicesync.run("apply", name).returncode == 0
    for file_format in ("parquet", "jsonl"):
        backup = f"backup-{file_format}-{name}"
        run = devicesync.run("backup", "run", "--to", backup, "--format", file_format, "--until-caught-up", *where)
        assert run.returncode == 0
        assert devicesync.json("backup", "verify", "--deep", "--in", backup, *where)["problems"] == []
        assert devicesync.json("restore", "--from", backup, "--to-stores", *where)["records"] == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [("show", 1), ("show --json", 1), ("delete", 1), ("delete --reason", 1), ("replay --id", 0), ("list --reason", 0)],
)
def test_a_dead_letter_whose_id_is_no_utf_8_is_not_there(devicesync: Devicesync, words: str, status: int) -> None:
    """Nor one of such a reason. It is told in a line, as of any that is not there."""
    devicesync.run("apply", "-", stdin=b"junk\n")
    done = devicesync.run("dead-letters", *words.split(), os.fsdecode(b"x\xff"))
    assert (done.returncode, b"Traceback" in done.stderr) == (status, False)
    assert devicesync.json("dead-letters", "list")["total"] == 1


def test_a_line_of_100_mb(devicesync: Devicesync) -> None:
    """It is refused, its beginning is kept, and the lines around it are applied."""
    with (devicesync.directory / "file").open("wb") as file:
        file.write(GOOD + b"\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + GOOD.replace(b"good", b"after") + b"\n")
    applied = devicesync.json("apply", "file")
    assert (applied["applied"], applied["dead_reasons"]) == (2, {"too_large": 1})
    letter = devicesync.json("dead-letters", "list")["dead_letters"][0]
    assert base64.b64decode(letter["value_base64"]) == b"x" * LONGEST_LINE_BYTES
    assert (letter["offset"], letter["detail"]) == (1, "only the first 1048576 of 100000000 bytes are kept")


def test_mostly_bad_input_stops(devicesync: Devicesync) -> None:
    """A wrong file is noticed instead of drained into the dead letters."""
    (devicesync.directory / "file").write_bytes(b"nonsense\n" * 3000)
    done = devicesync.run("apply", "file")
    assert done.returncode == 3
    assert b"950 of the last 1000 records were refused" in done.stderr


def test_pretty_printed_json_gets_a_hint(devicesync: Devicesync, seed: Path) -> None:
    """The commonest mistake of a newcomer."""
    seed.write_text(json.dumps(json.loads(seed.read_bytes()), indent=2))
    done = devicesync.run("apply", seed)
    assert (done.returncode, b"jq -c . FILE" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (bytes(range(256)) * 8, "binary"),
        (b"PK\x03\x04" + b"\0" * 100, "a zip archive"),
        (b"PAR1" + b"\0" * 100, "Parquet"),
        (json.dumps([json.loads(GOOD)] * 3).encode(), "a JSON array"),
        (json.dumps([json.loads(GOOD)] * 300, indent=1).encode(), "a JSON array"),
        (b"device_id,city\nd,Pune\ne,Agra\n", "CSV"),
        (b"device_id,city\n" + b"d,Pune\n" * 3000, "CSV"),
        (GOOD.decode().encode("utf-16"), "text in UTF-16"),
        (b"<html></html>\n", "XML or HTML"),
        (b"hello\nworld\n", "text without JSON"),
    ],
    ids=["binary", "zip", "Parquet", "array", "array over lines", "CSV", "long CSV", "UTF-16", "HTML", "text"],
)
def test_a_file_that_is_no_file_of_events(devicesync: Devicesync, data: bytes, says: str) -> None:
    """Exit 1 (3 where the share of bad lines stopped it), and what it looks like; from a pipe too."""
    (devicesync.directory / "file").write_bytes(data)
    for done in (devicesync.run("apply", "file"), devicesync.run("apply", "-", stdin=data)):
        assert done.returncode in (1, 3)
        assert f"looks like {says}" in done.stderr.decode()
        assert b"Traceback" not in done.stderr


def test_a_gzipped_file_is_read(devicesync: Devicesync) -> None:
    """From a pipe too; cut off, what came before is applied, and it is said."""
    packed = gzip.compress(b"".join(GOOD.replace(b"good", b"d%d" % number) + b"\n" for number in range(1000)))
    (devicesync.directory / "file.gz").write_bytes(packed)
    assert devicesync.json("apply", "file.gz")["applied"] == 1000
    assert devicesync.json("apply", "-", stdin=packed)["applied"] == 1000
    done = devicesync.run("apply", "-", stdin=packed[:-20])
    assert (done.returncode, b"can't be unpacked to its end" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("apply", "missing.jsonl"), b"can't read missing.jsonl: No such file"),
        (("apply", "."), b". stands where a file belongs"),
        (("apply", ".."), b"Is a directory"),
        (("apply",), b"arguments are required: FILE"),
        (("get",), b"arguments are required: DEVICE_ID"),
        (("nonsense",), b"there is no command 'nonsense'"),
        (("aply", "x"), b"did you mean `devicesync apply`?"),
        (("dead-letters", "lst"), b"did you mean `devicesync dead-letters list`?"),
        (("simulate", "--count", "1", "--to", "/nonexistent/x"), b"can't write /nonexistent/x"),
        (("simulate", "--bad", "2"), b"2 is not from 0 to 1"),
        (("simulate", "--count", "x"), b"invalid number value"),
        (("up", "--nonsense"), b"unrecognized arguments: --nonsense"),
        (("get", "d", "--log", "nonsense"), b""),
        (("up", "--log", "nonsense"), b"log = 'nonsense' is not understood"),
        (("up", "--log", "journal:"), b"journal:PATH"),
        (("up", "--database", "oracle:x"), b"sqlite:PATH"),
        (("up", "--database", "oracle://u:secret@h/x"), b"oracle://u:***@h/x"),
        (("up", "--cache", "memory:?max=1"), b"max_devices=N"),
        (("up", "--config", "missing.toml"), b"can't read missing.toml"),
        (("up", "--config", "/dev/zero"), b"can't read /dev/zero: it has more than 1,048,576 bytes"),
    ],
)
def test_wrong_use(devicesync: Devicesync, arguments: tuple[str, ...], says: bytes) -> None:
    """Exit 2 and a sentence that says what was expected; no trace of the code."""
    done = devicesync.run(*arguments)
    assert done.returncode == (2 if says else 1)
    assert says in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("place", "status"), [("ftp://host.invalid/y", 3), ("github://x/y", 2), ("nope://x", 2)])
def test_a_place_for_a_backup_that_cannot_be_used(devicesync: Devicesync, place: str, status: int) -> None:
    """One sentence, and no trace of the code."""
    done = devicesync.run("backup", "run", "--to", place)
    assert (done.returncode, b"Traceback" in done.stderr, place.encode() in done.stderr) == (status, False, True), done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(devicesync: Devicesync, seed: Path) -> None:
    """Permission denied is wrong use."""
    seed.chmod(0)
    assert devicesync.run("apply", seed).returncode == 2


@pytest.mark.parametrize(
    ("toml", "variables", "says"),
    [
        ("no_such = 1", {}, b"unknown setting no_such in devicesync.toml"),
        ("batch_record = 1", {}, b"did you mean batch_records?"),
        ("batch_records = 0", {}, b"batch_records in devicesync.toml"),
        ('batch_records = "many"', {}, b"batch_records in devicesync.toml"),
        ("batch_records = ", {}, b"is not TOML"),
        ("log = " + "[" * 5000 + "]" * 5000, {}, b"is not TOML"),
        ("batch_records = " + "1" * 5000, {}, b"is not TOML"),
        ("", {"DEVICESYNC_NO_SUCH": "1"}, b"unknown setting DEVICESYNC_NO_SUCH"),
        ("", {"DEVICESYNC_BAD_SHARE_LIMIT": "2"}, b"DEVICESYNC_BAD_SHARE_LIMIT"),
    ],
)
def test_settings(devicesync: Devicesync, toml: str, variables: dict[str, str], says: bytes) -> None:
    """Unknown names and values out of range are named with their source."""
    (devicesync.directory / "devicesync.toml").write_text(toml)
    done = devicesync.run("config", variables=variables)
    assert done.returncode == 2
    assert says in done.stderr
    assert b"Traceback" not in done.stderr


def test_data_of_a_newer_version(devicesync: Devicesync, seed: Path) -> None:
    """Neither read nor touched."""
    devicesync.json("apply", seed)
    (devicesync.directory / "devicesync-data/format").write_text("2\n")
    for arguments in (("up",), ("apply", seed), ("get", "232455"), ("erase", "232455")):
        done = devicesync.run(*arguments)
        assert done.returncode == 3
        assert b"upgrade devicesync" in done.stderr


def test_a_data_directory_that_is_a_file(devicesync: Devicesync, seed: Path) -> None:
    """And one that is no database of ours."""
    assert devicesync.run("apply", seed, "--data-dir", seed).returncode == 2
    done = devicesync.run("apply", seed, "--database", f"sqlite:{seed}")
    assert (done.returncode, b"not a database of devicesync" in done.stderr) == (2, True)


def test_a_burst_of_bad_records_stops_no_updater(devicesync: Devicesync) -> None:
    """It is for a bad deploy: without the minute it stops, and the way out that its hint names leads out."""
    devicesync.run("init")
    journal = Journal(
        devicesync.directory / "devicesync-data" / "device-profile.log", segment_bytes=1 << 20, retention_seconds=3600
    )
    update = ("update", "--until-caught-up")
    journal.append([b"nonsense"] * 1500)
    assert devicesync.run(*update).returncode == 0
    assert devicesync.json("dead-letters", "list", "--limit", "0")["total"] == 1500
    journal.append([b"nonsense"] * 1500)
    journal.close()
    (devicesync.directory / "devicesync.toml").write_text("bad_share_seconds = 0\n")
    stopped = devicesync.run(*update)
    assert (stopped.returncode, b"set bad_share_limit = 1" in stopped.stderr) == (3, True)
    assert devicesync.json("dead-letters", "list", "--limit", "0")["total"] == 1500
    (devicesync.directory / "devicesync.toml").write_text("bad_share_seconds = 0\nbad_share_limit = 1\n")
    assert devicesync.run(*update).returncode == 0
    assert devicesync.json("dead-letters", "list", "--limit", "0")["total"] == 3000
