"""`backup redact` as its user meets it."""

import shutil
import time

import msgspec

from devicesync.assembly.backup.archives import archives_at
from tests.archive.test_forged_revision import forge
from tests.end_to_end.command import Devicesync, delete_database
from tests.end_to_end.test_backup import back_up, simulate


def test_an_erased_device_is_taken_out_of_the_backup(devicesync: Devicesync) -> None:
    """Nothing before its erase is there; then the restore, the proof and the verification are as ever."""
    simulate(devicesync, 300, bad=0)
    version = time.time_ns() // 1000 - 10_000_000
    line = f'{{"device_id":"gone","version":{version},"city":"PLANTED"}}\n'
    assert devicesync.run("apply", "-", stdin=line.encode()).returncode == 0
    back_up(devicesync)
    words = ("backup", "redact", "--in", "backup", "--device", "gone")
    refused = devicesync.run(*words)
    assert (refused.returncode, b"no erase of gone" in refused.stderr) == (1, True)
    erased = devicesync.json("erase", "gone")["version"]
    back_up(devicesync)
    would = devicesync.json(*words, "--dry-run")
    assert (len(would["rewritten"]), would["records"], would["erased"]) == (1, 0, erased)
    done = devicesync.json(*words)
    assert (done["rewritten"], done["records"]) == (would["rewritten"], 1)
    assert devicesync.json(*words)["rewritten"] == []
    found = devicesync.json("backup", "verify", "--in", "backup", "--deep")
    assert (found["problems"], found["revisions"]) == ([], 1)
    listed = devicesync.json("backup", "list", "--in", "backup")
    assert (listed["revisions"], [bool(each["revision"]) for each in listed["files"]]) == (1, [True, False])
    delete_database(devicesync.directory)
    restored = devicesync.run("restore", "--from", "backup", "--to-stores")
    assert b"301 records" in restored.stdout
    assert b"1 ranges are revisions, as `backup redact` writes them" in restored.stderr
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["revisions"] == 1
    assert devicesync.json("get", "gone", status=1)["erased"]
    simulate(devicesync, 10)
    assert back_up(devicesync)["records"] == 10
    file = next((devicesync.directory / "backup").rglob("1_0_0*.parquet"))
    shutil.copy(file, file.with_name("1_0_99.parquet"))
    unlisted = devicesync.run(*words)
    assert (unlisted.returncode, b"1_0_99.parquet" in unlisted.stderr) == (1, True)


def test_beside_the_log_a_forged_revision_is_found_where_what_it_replaces_is_gone(devicesync: Devicesync) -> None:
    """`verify --deep` took each record that a revision lacks for redacted: the erased device came back, and nothing was said."""
    simulate(devicesync, 10, bad=0)
    line = f'{{"device_id":"gone","version":{time.time_ns() // 1000 - 10_000_000},"city":"Pune"}}\n'.encode()
    assert devicesync.run("apply", "-", stdin=line).returncode == 0
    devicesync.json("erase", "gone")
    back_up(devicesync)
    (archive,) = archives_at(str(devicesync.directory / "backup"))
    originals = [path for entry in archive.manifest.entries() for path in entry.paths]
    records = sum(entry.records for entry in archive.manifest.entries())
    forge(archive, devicesync.directory, [0, 1])
    for path in originals:
        (devicesync.directory / "backup" / path).unlink()
    found = devicesync.json("backup", "verify", "--in", "backup", "--deep", status=1)
    (problem,) = found["problems"]
    assert problem["path"] == archive.manifest.entries()[0].path
    assert (
        f"{records - 2} records of the log are missing, the first at offset 2, and no erase in the backup" in problem["problem"]
    )


def test_a_device_that_was_erased_in_one_of_two_logs_stays_in_the_other_s_files(devicesync: Devicesync) -> None:
    """They are named, and why they stay. It was exit status 0, without a word."""
    line = f'{{"device_id":"gone","version":{time.time_ns() // 1000 - 10_000_000},"city":"PLANTED"}}\n'.encode()
    other = ("--data-dir", "other", "--log", "journal:other/old.log")
    run = ("backup", "run", "--to", "backup", "--until-caught-up")
    for where in ((), other):
        assert devicesync.run("apply", "-", *where, stdin=line).returncode == 0
    devicesync.json("erase", "gone")
    for where in ((), other):
        devicesync.json(*run, *where)
    words = ("backup", "redact", "--in", "backup", "--device", "gone")
    for more in (("--dry-run",), (), ()):
        done = devicesync.run(*words, *more, "--json")
        (kept,) = (devicesync.directory / "backup" / "old.log").rglob("*.parquet")
        path = str(kept.relative_to(devicesync.directory / "backup"))
        assert msgspec.json.decode(done.stdout)["not_erased"] == {"old.log": [path]}
        told = done.stderr.decode()
        assert (done.returncode, "no erase of gone is in the backup of old.log" in told, path in told) == (1, True, True), told
    devicesync.json("erase", "gone", *other)
    devicesync.json(*run, *other)
    done = devicesync.run(*words, "--json")
    assert (done.returncode, done.stderr, msgspec.json.decode(done.stdout)["records"]) == (0, b"", 1)


def test_an_erasure_of_a_pruned_file_that_lies_in_the_future_is_not_believed(devicesync: Devicesync) -> None:
    """Whoever writes the backup could else have a redact remove all that a device registers."""
    simulate(devicesync, 10, bad=0)
    back_up(devicesync)
    line = f'{{"device_id":"victim","version":{time.time_ns() // 1000},"city":"Pune"}}\n'
    assert devicesync.run("apply", "-", stdin=line.encode()).returncode == 0
    back_up(devicesync)
    (archive,) = archives_at(str(devicesync.directory / "backup"))
    archive.manifest.prune(archive.manifest.entries()[:1], {"victim": 7_258_118_400_000_000}.items(), devicesync.directory)
    redacted = devicesync.run("backup", "redact", "--in", "backup", "--device", "victim")
    assert (redacted.returncode, b"no erase of victim" in redacted.stderr) == (1, True)
    assert b"erasures with an impossible id or version are left out" in redacted.stderr
    assert sum(entry.records for entry in archive.manifest.entries()) == 1
