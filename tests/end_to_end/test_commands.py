"""Every command on the embedded default, as a user types it, with the --json contracts of docs/reference/json.md."""

import base64
import json
import os
import random
import re
import time
from pathlib import Path

import pytest
from devstack.server import free_ports

from devicesync.simulation import Simulation
from tests.end_to_end.command import Devicesync, stopped, until

V = 1_600_000_000_000_000


def test_the_seed_goes_in_and_comes_out(devicesync: Devicesync, seed: Path) -> None:
    """apply, then get: the documents of the contract."""
    applied = devicesync.json("apply", seed)
    assert applied.pop("seconds") >= 0
    assert applied == {"read": 1, "applied": 1, "dead": 0, "devices": 1, "dead_reasons": {}}
    event = json.loads(seed.read_bytes())
    expected = {name: value for name, value in event.items() if value and name != "device_id"}
    for store in ("cache", "database"):
        found = devicesync.json("get", "232455", "--from", store)
        assert found["profile"] == expected
        assert (found["device_id"], found["version"] // 1000, found["erased"]) == ("232455", 1566383863167, False)
        assert len(found["digest"]) == 64
    shown = devicesync.run("get", "232455").stdout.decode()
    assert "Bengaluru" in shown


def test_an_unknown_device(devicesync: Devicesync) -> None:
    """Exit 1, and nothing is created by looking."""
    found = devicesync.json("get", "nobody", status=1)
    assert found == {"device_id": "nobody", "version": None, "erased": False, "digest": None, "profile": None}
    assert list(devicesync.directory.iterdir()) == []


def test_erase(devicesync: Devicesync, seed: Path) -> None:
    """A versioned erase; an older registration stays away, a newer one starts anew."""
    devicesync.json("apply", seed)
    erased = devicesync.json("erase", "232455")
    gone = {"device_id": "232455", "version": erased["version"], "erased": True, "digest": None, "profile": None}
    assert devicesync.json("get", "232455", status=1) == gone
    devicesync.json("apply", seed)
    assert devicesync.json("get", "232455", "--from", "database", status=1) == gone
    later = json.dumps({"device_id": "232455", "version": erased["version"] + 1, "city": "Agra"}).encode()
    devicesync.json("apply", "-", stdin=later)
    assert devicesync.json("get", "232455")["profile"]["city"] == "Agra"
    assert devicesync.run("erase", "a\tb").returncode == 2


def test_erasing_a_device_that_nobody_knows(devicesync: Devicesync, seed: Path) -> None:
    """Exit 1 "not found", beside an `up` too; nothing is written, and in an empty directory nothing is made."""
    gone = {"device_id": "nobody", "version": None}
    assert devicesync.json("erase", "nobody", status=1) == gone
    assert [path.name for path in devicesync.directory.iterdir()] == [seed.name]
    devicesync.json("apply", seed)
    journal = devicesync.directory / "devicesync-data" / "device-profile.log"
    before = journal.read_bytes()
    assert devicesync.json("erase", "nobody", status=1) == gone
    devicesync.start("up")
    assert b"nobody is not found" in devicesync.run("erase", "nobody").stderr
    assert journal.read_bytes() == before


def test_erasing_a_device_that_only_the_log_knows_yet(devicesync: Devicesync, seed: Path) -> None:
    """What is in the journal comes first, so it is found, and erased."""
    devicesync.run("init")
    (devicesync.directory / "devicesync-data" / "device-profile.log").write_bytes(seed.read_bytes())
    assert devicesync.json("erase", "232455")["version"]
    assert devicesync.json("get", "232455", status=1)["erased"]


def test_erase_beats_a_version_from_ahead(devicesync: Devicesync) -> None:
    """N = max(now, the profile's version + 1): a clock a little ahead does not survive its erase."""
    ahead = time.time_ns() // 1000 + 60_000_000
    devicesync.json("apply", "-", stdin=json.dumps({"device_id": "d", "version": ahead, "city": "Pune"}).encode())
    assert devicesync.json("erase", "d")["version"] == ahead + 1
    assert devicesync.json("get", "d", status=1)["erased"]


def test_order_does_not_matter(devicesync: Devicesync) -> None:
    """Shuffled into a fresh data directory, the same profiles, digests included."""
    now_ms = time.time_ns() // 1_000_000
    lines = list(Simulation(seed=5, devices=40, bad_share=0.02).records(2000, now_ms - 2000))
    erases = [
        json.dumps({"device_id": json.loads(line)["device_id"], "erase": True, "version": (now_ms - 1500) * 1000 + spot}).encode()
        for spot, line in enumerate(lines[:5])
        if line.startswith(b'{"device_id":"')
    ]
    lines += erases
    for name in ("one", "two"):
        random.Random(name).shuffle(lines)
        (devicesync.directory / f"{name}.jsonl").write_bytes(b"\n".join(lines))
        devicesync.json("apply", f"{name}.jsonl", "--data-dir", name)
    ids = {json.loads(line)["device_id"] for line in lines if line.startswith(b'{"device_id":"') and line.endswith(b"}")}
    compared = random.Random(1).sample(sorted(ids), 15)
    for device_id in compared:
        one, two = (devicesync.run("get", device_id, "--json", "--data-dir", name) for name in ("one", "two"))
        assert (one.stdout, one.returncode) == (two.stdout, two.returncode)
    assert len(compared) == 15


def test_dead_letters(devicesync: Devicesync) -> None:
    """List, show and replay; the bytes come back unchanged."""
    bad = [b'{"device_id":"d","version":%d,"city":[]}' % V, b"\xff", b"[]"]
    file = devicesync.directory / "events"
    file.write_bytes(b"\n".join([b'{"device_id":"d","version":%d}' % V, b"", *bad]))
    applied = devicesync.json("apply", "events")
    assert (applied["read"], applied["applied"], applied["dead"]) == (4, 1, 3)
    assert applied["dead_reasons"] == {"invalid_field": 1, "wrong_encoding": 1, "not_an_object": 1}
    listed = devicesync.json("dead-letters", "list")
    assert listed["total"] == 3
    assert {base64.b64decode(letter["value_base64"]) for letter in listed["dead_letters"]} == set(bad)
    assert {(letter["source"], letter["partition"], letter["offset"]) for letter in listed["dead_letters"]} == {
        ("events", 0, 2),  # as an editor counts them, from 0
        ("events", 0, 3),
        ("events", 0, 4),
    }
    one = devicesync.json("dead-letters", "list", "--reason", "wrong_encoding", "--limit", "1")
    assert one["total"] == 1
    assert devicesync.json("dead-letters", "show", one["dead_letters"][0]["id"]) == one["dead_letters"][0]
    assert devicesync.run("dead-letters", "show", "nothing").returncode == 1
    assert devicesync.json("dead-letters", "replay") == {"tried": 3, "applied": 0, "dead": 3}
    for none in ("", "nothing"):  # as of a variable of a script that is not set
        for which in ((none,), ("--reason", none)):
            assert devicesync.json("dead-letters", "delete", *which, status=1) == {"deleted": 0}
        for which in (("--id", none), ("--reason", none)):
            assert devicesync.json("dead-letters", "replay", *which) == {"tried": 0, "applied": 0, "dead": 0}
    assert devicesync.json("dead-letters", "list", "--limit", "0") == {"total": 3, "dead_letters": []}
    assert devicesync.run("apply", "events", "--strict").returncode == 1


def test_a_replayed_record_that_is_valid_now_leaves_the_dead_letters(devicesync: Devicesync) -> None:
    """Refused by a narrow clock guard, accepted by a wider one."""
    ahead = time.time_ns() // 1000 + 400_000_000
    devicesync.json("apply", "-", stdin=json.dumps({"device_id": "d", "version": ahead}).encode())
    assert devicesync.json("dead-letters", "list")["dead_letters"][0]["reason"] == "version_in_future"
    (devicesync.directory / "devicesync.toml").write_text("max_clock_ahead_seconds = 900\n")
    assert devicesync.json("dead-letters", "replay")["applied"] == 1
    assert devicesync.json("get", "d")["version"] == ahead
    assert devicesync.json("dead-letters", "list")["total"] == 0


def test_up_takes_what_others_append(devicesync: Devicesync, seed: Path) -> None:
    """apply, erase, simulate and get beside a running `up`; SIGTERM ends it with status 0."""
    up = devicesync.start("up")
    assert devicesync.json("apply", seed)["applied"] == 1
    assert devicesync.json("get", "232455")["profile"]["city"] == "Bengaluru"
    version = devicesync.json("erase", "232455")["version"]
    assert devicesync.json("get", "232455", status=1)["version"] == version
    assert devicesync.json("simulate", "--count", "300", "--bad", "0.1")["written"] == 300
    until(lambda: devicesync.json("dead-letters", "list")["total"] > 10)
    assert stopped(up) == 0


def test_a_second_up_says_who_holds_the_directory(devicesync: Devicesync) -> None:
    """Exit 3, with the command and process id of the first."""
    up = devicesync.start("up")
    for command in ("up", "update"):
        second = devicesync.run(command)
        assert second.returncode == 3
        assert f"held by `devicesync up`, process {up.pid}" in second.stderr.decode()


def test_two_applies_take_turns(devicesync: Devicesync, seed: Path) -> None:
    """An `apply` beside another waits for it; both do their work."""
    devicesync.json("simulate", "--count", "20000", "--to", "many.jsonl")
    first = devicesync.start("apply", "many.jsonl", "--json", ready=False)
    assert devicesync.json("apply", seed)["applied"] == 1
    out, _ = first.communicate()
    assert json.loads(out)["read"] == 20000


def test_update_until_caught_up(devicesync: Devicesync) -> None:
    """Leaves with 0 when nothing is left."""
    devicesync.json("simulate", "--count", "500", "--bad", "0", "--devices", "20")
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    assert b"at record 500" in devicesync.run("doctor").stdout


def test_following_a_foreign_log_through_logrotate(devicesync: Devicesync, seed: Path) -> None:
    """Rename and create, while `up` runs and while it does not."""
    log = devicesync.directory / "register.log"
    event = seed.read_bytes()
    log.write_bytes(event)
    up = devicesync.start("up", "--log", f"follow:{log}")
    until(lambda: devicesync.run("get", "232455").returncode == 0)
    log.rename(f"{log}.1")
    with Path(f"{log}.1").open("ab") as old:
        old.write(event.replace(b"232455", b"late"))
    log.write_bytes(event.replace(b"232455", b"new"))
    until(lambda: devicesync.run("get", "late").returncode + devicesync.run("get", "new").returncode == 0)
    assert stopped(up) == 0
    with log.open("ab") as file:
        file.write(event.replace(b"232455", b"away"))
    devicesync.start("up", "--log", f"journal:{log}")
    until(lambda: devicesync.run("get", "away").returncode == 0)


def test_init_and_doctor(devicesync: Devicesync) -> None:
    """Doctor says what is missing and what to do; init makes it; both may be repeated."""
    before = devicesync.run("doctor")
    assert before.returncode == 3
    assert b"devicesync init" in before.stdout
    assert list(devicesync.directory.iterdir()) == []
    for _ in range(2):
        assert devicesync.run("init").returncode == 0
    findings = devicesync.json("doctor")["findings"]
    assert {finding["what"]: finding["status"] for finding in findings} == dict.fromkeys(
        ("data_dir", "log", "database", "cache"), "ok"
    ) | {"api": "warning"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("log", "localhost:9092/t"),
        ("log", "kafka://localhost:9092"),
        ("database", "cassandra://localhost"),
        ("cache", "valkey://localhost/2"),
        ("cache", "redis://localhost:port/2"),
        ("cache", "redis+cluster://localhost:port"),
        ("listen", "8080"),
        ("admin_listen", "127.0.0.1:99999"),
        ("ship_to", "journal:x"),
        ("ship_to", "kafka://[::z]:9092/t"),
    ],
)
def test_settings_that_cannot_work_are_refused(devicesync: Devicesync, name: str, value: str) -> None:
    """`config`, `config --check` and `doctor` name the one that is wrong; no server is asked."""
    (devicesync.directory / "devicesync.toml").write_text(f'{name} = "{value}"\n')
    variables = {"DEVICESYNC_LISTEN": value if name == "listen" else "127.0.0.1:0"}
    variables["DEVICESYNC_ADMIN_LISTEN"] = value if name == "admin_listen" else "127.0.0.1:0"
    for command in (("config",), ("config", "--check")):
        done = devicesync.run(*command, variables=variables)
        assert (done.returncode, b"Traceback" in done.stderr) == (2, False), done.stderr
        assert b"hint: " in done.stderr
    (fault,) = json.loads(devicesync.run("config", "--check", "--json", variables=variables).stdout)["faults"]
    assert fault["setting"] == name
    doctor = devicesync.run("doctor", "--json", variables=variables)
    assert doctor.returncode == 3
    findings = {finding["what"]: finding for finding in json.loads(doctor.stdout)["findings"] if finding["status"] == "failed"}
    assert findings[name]["detail"] == fault["detail"]


def test_sound_settings(devicesync: Devicesync) -> None:
    """`config --check` needs no server and makes nothing."""
    flags = ("--log", "kafka://nowhere:1/t", "--cache", "redis+cluster://nowhere:1", "--database", "cassandra://nowhere:1/k")
    assert devicesync.json("config", "--check", *flags) == {"sound": True, "faults": []}
    assert list(devicesync.directory.iterdir()) == []


def test_doctor_says_at_once_that_kafka_is_dead(devicesync: Devicesync) -> None:
    """Under `log`, with the address; what does not need it is looked at all the same."""
    (port,) = free_ports(1)
    devicesync.run("init")
    findings = devicesync.json("doctor", "--log", f"kafka://127.0.0.1:{port}/t", status=3)["findings"]
    failed = [finding for finding in findings if finding["status"] == "failed"]
    assert [finding["what"] for finding in failed] == ["log"]
    assert f"127.0.0.1:{port}: Connection refused" in failed[0]["detail"]
    assert {finding["what"] for finding in findings} == {"data_dir", "log", "database", "cache", "api"}


def test_doctor_tells_how_far_the_updater_is_behind(devicesync: Devicesync) -> None:
    """In records and seconds, with a warning while nobody reads."""
    devicesync.json("simulate", "--count", "300", "--bad", "0")
    behind = devicesync.run("doctor").stdout.decode()
    assert "nobody takes 300 records into the stores" in behind
    devicesync.run("update", "--until-caught-up")
    assert "updater at record 300, 0 records behind" in devicesync.run("doctor").stdout.decode()
    devicesync.json("simulate", "--count", "200", "--bad", "0")
    assert re.search(r"updater at record 300, 200 records behind, [0-9.]+ s", devicesync.run("doctor").stdout.decode())


def test_doctor_tells_what_the_journal_lost_before_the_updater_had_it(devicesync: Devicesync) -> None:
    """While it is stopped, it can't say so itself."""
    data = devicesync.directory / "devicesync-data"
    (devicesync.directory / "devicesync.toml").write_text("journal_segment_bytes = 4096\n")
    devicesync.json("simulate", "--count", "100", "--bad", "0")
    assert "are gone" not in devicesync.run("doctor").stdout.decode()
    devicesync.run("update", "--until-caught-up")
    for _ in range(3):
        devicesync.json("simulate", "--count", "100", "--bad", "0")
    assert "gone from the journal" not in devicesync.run("doctor").stdout.decode()
    closed = sorted(path for path in data.glob("device-profile.log.0*") if path.suffix != ".times")
    for path in closed[:-1]:
        path.unlink()
    assert "100 records were gone from the journal before the updater read them" in devicesync.run("doctor").stdout.decode()
    for path in data.glob("device-profile.log.reader.*"):
        path.unlink()
    found = devicesync.run("doctor").stdout.decode()
    assert "the updater has no position in the journal, whose first 200 records are gone" in found
    devicesync.run("update", "--until-caught-up")
    assert "gone" not in devicesync.run("doctor").stdout.decode()


def test_doctor_names_a_segment_that_can_not_be_read(devicesync: Devicesync) -> None:
    """`up` answered each registration 503 for it, and `doctor` ended with 0."""
    (devicesync.directory / "devicesync.toml").write_text("journal_segment_bytes = 4096\n")
    for _ in range(2):
        devicesync.json("simulate", "--count", "100", "--bad", "0")
    devicesync.run("update", "--until-caught-up")
    times = next((devicesync.directory / "devicesync-data").glob("device-profile.log.0*.times"))
    times.unlink()
    times.symlink_to("/dev/zero")
    done = devicesync.run("doctor")
    assert done.returncode == 3
    assert f"{times.name}: it is no regular file" in done.stdout.decode()


def test_following_in_a_directory_that_is_not_there(devicesync: Devicesync) -> None:
    """Said at start, exit 2; a file that is not there yet is waited for, which is said too."""
    done = devicesync.run("up", "--log", f"follow:{devicesync.directory}/no/register.log")
    assert (done.returncode, b"there is no directory" in done.stderr) == (2, True)
    up = devicesync.start("up", "--log", f"follow:{devicesync.directory}/register.log", ready=False)
    assert up.stderr
    assert "is not there yet" in up.stderr.readline()


def test_a_log_that_can_not_be_followed_is_not_done(devicesync: Devicesync, seed: Path) -> None:
    """`update --until-caught-up` said that nothing was left to do, status 0. It waits; `doctor` names the file."""
    log = devicesync.directory / "register.log"
    os.mkfifo(log)
    update = devicesync.start("update", "--until-caught-up", "--log", f"follow:{log}", ready=False)
    told = update.stderr
    assert told
    until(lambda: "can't follow" in told.readline())
    done = devicesync.run("doctor", "--log", f"follow:{log}")
    assert (done.returncode, b"it is no regular file" in done.stdout) == (3, True)
    whole = devicesync.directory / "whole.log"
    whole.write_bytes(b"\n" * 3_000_000 + seed.read_bytes())
    whole.rename(log)  # at once: it is never seen in part, nor missing
    assert update.wait() == 0
    assert devicesync.run("get", "232455").returncode == 0


@pytest.mark.parametrize("setting", [("--log", "journal:/"), ("--log", "follow:."), ("--database", "sqlite:/")])
def test_a_place_that_names_no_file_is_refused(devicesync: Devicesync, setting: tuple[str, str]) -> None:
    """It was a traceback."""
    for command in (["doctor"], ["update", "--until-caught-up"], ["init"], ["apply", "-"]):
        done = devicesync.run(*command, *setting)
        told = (done.stdout + done.stderr).decode()
        assert done.returncode in {2, 3}
        assert f"{setting[1].partition(':')[2]} stands where a file belongs" in told


def test_one_device_at_a_time(devicesync: Devicesync) -> None:
    """`backup redact` took out the last of several, and said nothing of the others."""
    for command in (["backup", "redact", "--in", "b"], ["restore", "--from", "b", "--to-stores"]):
        done = devicesync.run(*command, "--device", "a", "--device", "b")
        assert (done.returncode, b"--device can be given once" in done.stderr) == (2, True)
    done = devicesync.run("restore", "--from", "b", "--to-stores", "--partitions", "1", "--partitions", "2")
    assert (done.returncode, b"--partitions can be given once" in done.stderr) == (2, True)


def test_config_shows_where_values_come_from(devicesync: Devicesync) -> None:
    """Flag over environment over file over default; passwords masked."""
    (devicesync.directory / "devicesync.toml").write_text('data_dir = "from-file"\nbatch_records = 7\n')
    done = devicesync.run(
        "config",
        "--json",
        "--data-dir",
        "from-flag",
        variables={"DEVICESYNC_DATA_DIR": "from-env", "DEVICESYNC_CACHE": "redis://u:secret@h/2"},
    )
    shown = json.loads(done.stdout)
    assert shown["data_dir"] == {"value": "from-flag", "source": "--data-dir"}
    assert shown["batch_records"] == {"value": 7, "source": "batch_records in devicesync.toml"}
    assert shown["cache"] == {"value": "redis://u:***@h/2", "source": "DEVICESYNC_CACHE"}
    assert shown["bad_share_limit"] == {"value": 0.95, "source": "default"}
    assert b"secret" not in done.stdout


def test_simulate_is_reproducible(devicesync: Devicesync) -> None:
    """The same seed and start give the same bytes; the share of bad records is about what was asked for."""
    arguments = ("simulate", "--count", "1000", "--start-ms", "1700000000000", "--bad", "0.2", "--to", "-")
    one, two = devicesync.run(*arguments), devicesync.run(*arguments)
    assert one.stdout == two.stdout
    assert devicesync.run(*arguments, "--seed", "2").stdout != one.stdout
    applied = devicesync.json("apply", "-", stdin=one.stdout)
    assert applied["read"] == 1000
    assert 120 < applied["dead"] < 280
    assert len(applied["dead_reasons"]) >= 4


ON_THIS_MACHINE = {
    "log": "journal:devicesync-data/device-profile.log",
    "database": "sqlite:devicesync-data/device-profile.db",
    "cache": "memory:",
}


def test_demo(devicesync: Devicesync) -> None:
    """What `make run SECONDS=3` shows, on this machine, whatever servers the settings name."""
    (devicesync.directory / "devicesync.toml").write_text(
        'log = "kafka://127.0.0.1:1/t"\ndatabase = "cassandra://127.0.0.1:1/k"\ncache = "redis://127.0.0.1:1/2"\n'
    )
    for _ in range(2):
        shown = devicesync.run("demo", "--seconds", "2.5").stdout.decode()
        assert "Bengaluru" in shown
        assert "before, from a copy of yesterday: Bengaluru, 24 h old" in shown
        assert re.search(r"now, from devicesync enrich: +Mysuru, \d+ ms old", shown)
        assert "in this second" in shown
        flags = [f"--{name}={url}" for name, url in ON_THIS_MACHINE.items()]
        devicesync.json("erase", "232455", *flags)


@pytest.mark.parametrize(
    "command", [(), ("up",), ("apply",), ("get",), ("dead-letters",), ("dead-letters", "list"), ("simulate",), ("doctor",)]
)
def test_help(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """Every command explains itself."""
    shown = devicesync.run(*command, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith(b"usage: devicesync")
