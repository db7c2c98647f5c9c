"""`enrich`, file to file, on the embedded default."""

import base64
import gzip
import json
import subprocess
from pathlib import Path

import pytest

from devicesync.log.whole_lines import LONGEST_LINE_BYTES
from tests.end_to_end.command import COMMAND, Devicesync

KNOWN = b'{"eid":"START","context":{"did":"232455"},"x":1.50}'
UNKNOWN = b'{"eid":"START","context":{"did":"nobody"}}'


def test_a_file_is_enriched_from_the_database(devicesync: Devicesync, seed: Path) -> None:
    """A known device, an unknown one, an event without any, and one that is no JSON, which goes to the dead letters."""
    devicesync.json("apply", seed)
    telemetry, target = devicesync.directory / "telemetry.jsonl", devicesync.directory / "enriched.jsonl"
    telemetry.write_bytes(b"\n".join((KNOWN, UNKNOWN, b'{"eid":"LOG"}', b"{bad", b'{"last": 1}')))
    done = devicesync.json("enrich", "--from", telemetry, "--to", target)
    assert done == {"read": 5, "written": 4, "dead": 1, "dead_reasons": {"malformed_json": 1}}
    known, *others = target.read_bytes().splitlines()
    assert others == [UNKNOWN[:-1] + b',"flags":{"device_denorm":false}}', b'{"eid":"LOG"}', b'{"last": 1}']
    assert known.startswith(KNOWN[:-1] + b',"devicedata":{')
    added = json.loads(known)
    assert (added["devicedata"]["city"], added["devicedata"]["iso3166statecode"]) == ("Bengaluru", "IN-KA")
    assert added["devicedata"]["devicespec"] == {"os": "Android 6.0", "make": "Motorola XT1706"}
    assert added["devicedata_version"] // 1000 == 1566383863167
    (letter,) = devicesync.json("dead-letters", "list")["dead_letters"]
    assert (letter["reason"], letter["offset"], letter["source"]) == ("malformed_json", 3, str(telemetry))


def test_a_pipe_without_stamps(devicesync: Devicesync, seed: Path) -> None:
    devicesync.json("apply", seed)
    done = devicesync.run("enrich", "--from", "-", "--to", "-", "--no-stamps", stdin=KNOWN + b"\n")
    assert done.returncode == 0
    added = json.loads(done.stdout)
    assert list(added) == ["eid", "context", "x", "devicedata", "flags"]


def test_a_pipe_is_answered_as_it_comes(devicesync: Devicesync, seed: Path) -> None:
    """A change between two events is in the second."""
    devicesync.json("apply", seed)
    command = [*COMMAND, "enrich", "--from", "-", "--to", "-"]
    with subprocess.Popen(command, cwd=devicesync.directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        for city in ("Bengaluru", "Mysuru"):
            running.stdin.write(KNOWN + b"\n")
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["devicedata"]["city"] == city
            devicesync.json("apply", "-", stdin=b'{"device_id":"232455","version":1700000000000000,"city":"Mysuru"}')
        running.stdin.close()
        assert running.wait() == 0


def test_a_line_over_the_bound_is_refused(devicesync: Devicesync) -> None:
    """Its beginning is kept, though that alone would be an event. The lines around it are written."""
    with gzip.open(devicesync.directory / "telemetry.gz", "wb") as file:
        file.write(UNKNOWN + b"\n" + b'{"eid":"LOG"}' + b" " * 100_000_000 + b"\n" + UNKNOWN + b"\n")
    done = devicesync.json("enrich", "--from", "telemetry.gz", "--to", "enriched")
    assert done == {"read": 3, "written": 2, "dead": 1, "dead_reasons": {"too_large": 1}}
    assert (devicesync.directory / "enriched").read_bytes().count(b"\n") == 2
    (letter,) = devicesync.json("dead-letters", "list")["dead_letters"]
    assert len(base64.b64decode(letter["value_base64"])) == LONGEST_LINE_BYTES
    assert (letter["offset"], letter["detail"]) == (1, "only the first 1048576 of 100000013 bytes are kept")


def test_nothing_was_registered_yet(devicesync: Devicesync) -> None:
    done = devicesync.run("enrich", "--from", "-", "--to", "-", stdin=UNKNOWN)
    assert done.stdout == UNKNOWN[:-1] + b',"flags":{"device_denorm":false}}\n'


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--from", "-"),
        ("--from", "gone", "--to", "x"),
        ("--from", "telemetry", "--to", "telemetry"),
        ("--from", "-", "--to", "no/such/directory"),
        ("--from", "-", "--to", "-", "--telemetry-from", "kafka://h:1/t"),
        ("--telemetry-from", "kafka://h:1/t", "--telemetry-to", "kafka://h:1/t"),
        ("--telemetry-from", "h:1/t", "--telemetry-to", "kafka://h:1/t"),
    ],
)
def test_wrong_use(devicesync: Devicesync, words: tuple[str, ...]) -> None:
    (devicesync.directory / "telemetry").write_bytes(KNOWN)
    done = devicesync.run("enrich", *words, stdin=b"")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"hint" in done.stderr
    assert (devicesync.directory / "telemetry").read_bytes() == KNOWN
