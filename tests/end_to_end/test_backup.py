"""Backup and restore on the embedded default: nothing to install, the same files, the same proof."""

import gzip
import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.assembly import simulate as assembly
from devicesync.assembly.simulate import Pace, into_log
from devicesync.cli.process import Terminal
from devicesync.config import load
from devicesync.log.full import FullRecord
from devicesync.simulation import Simulation
from tests.archive.test_trust import listed_at
from tests.end_to_end.command import WAIT_SECONDS, Devicesync, delete_database, stopped, until

STEPS = ("closing", "closed", "claimed", "uploaded", "listed", "claimed the end")
DATA = "devicesync-data"
LOG = "device-profile.log"
RESTORE = ("restore", "--from", "backup", "--to-stores")
KILLED_WHEN_DONE = Path(__file__).parents[1] / "killed_when_done.py"


def archive_in(directory: Path) -> Archive:
    """The journal's backup."""
    return Archive(Storage(str(directory / "backup")), LOG)


def rows_in(archive: Archive, spool: Path) -> list[FullRecord]:
    """Every row of every file that lies there, whether the manifest knows it or not."""
    rows: list[FullRecord] = []
    for entry in archive.manifest.entries():
        with archive.fetched(entry, spool) as batches:
            rows += [row for batch in batches for row in batch]
    return rows


def check_exactly_once(directory: Path, lines: list[bytes]) -> None:
    """Each record in exactly one file, in order, and no file that the manifest does not know."""
    archive = archive_in(directory)
    rows = rows_in(archive, directory)
    assert [row[0] for row in rows] == list(range(len(lines)))
    assert [row[3] for row in rows] == lines
    there = {str(path.relative_to(directory / "backup")) for path in (directory / "backup").glob("*/dt=*/*")}
    assert there == {entry.path for entry in archive.manifest.entries()}


def journal_lines(directory: Path) -> list[bytes]:
    """What the journal has."""
    return (directory / DATA / LOG).read_bytes().splitlines()


def simulate(
    devicesync: Devicesync, count: int, seed: int = 1, bad: float = 0.01, data_dir: Path | None = None, **settings: float
) -> None:
    """Put registrations into the journal, as `simulate` does; a process of it is tested elsewhere."""
    flags = {"data_dir": str(data_dir or devicesync.directory / DATA), **settings}
    simulation = Simulation(seed=seed, devices=200, bad_share=bad)
    with into_log(load(flags, {}).settings) as write:
        assert assembly.simulate(simulation, Pace(count, None, None), write, threading.Event(), Terminal("simulate")) == count


def back_up(devicesync: Devicesync, *more: str) -> Any:
    """One run to the end."""
    return devicesync.json("backup", "run", "--to", "backup", "--until-caught-up", *more)


def test_a_backup_lists_verifies_and_restores(devicesync: Devicesync) -> None:
    """Load, back up, lose both stores, restore: the same profiles, and nothing to do the second time."""
    simulate(devicesync, 3000)
    assert devicesync.run("update", "--until-caught-up").returncode == 0
    ids = {
        json.loads(line)["device_id"]
        for line in journal_lines(devicesync.directory)[:50]
        if b'"device_id":"' in line and line[-1:] == b"}"
    }
    before = {device_id: devicesync.json("get", device_id) for device_id in list(ids)[:10]}
    assert back_up(devicesync, "--max-file-bytes", "500000")["records"] == 3000
    files = devicesync.json("backup", "list", "--in", "backup")["files"]
    assert [(file["generation"], file["partition"]) for file in files] == [(1, 0)] * len(files)
    assert sum(file["records"] for file in files) == 3000
    assert files[1]["first_offset"] == files[0]["records"]
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert back_up(devicesync)["files"] == 0
    would = devicesync.json("restore", "--from", "backup", "--to-stores", "--dry-run")
    assert would["would_change"] == {"cache": 0, "database": 0}
    delete_database(devicesync.directory)
    would = devicesync.json("restore", "--from", "backup", "--to-stores", "--dry-run")
    assert would["would_change"]["database"] == would["devices"] > 100
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert (done["records"], done["applied"] + done["dead"]) == (3000, 3000)
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    assert done["proof"]["devices"] == done["devices"]
    assert devicesync.json("dead-letters", "list")["total"] == done["dead"] > 0
    assert {device_id: devicesync.json("get", device_id) for device_id in before} == before


@pytest.mark.parametrize("step", STEPS)
def test_kill_nine_at_each_step(devicesync: Devicesync, step: str) -> None:
    """Of the second file; then on to the end, with files of another size."""
    simulate(devicesync, 2000)
    devicesync.killed_at(step, 2, "--to", "backup", "--max-file-bytes", "300000")
    back_up(devicesync, "--max-file-bytes", "200000")
    check_exactly_once(devicesync.directory, journal_lines(devicesync.directory))
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert list((devicesync.directory / DATA / "backup").iterdir()) == []


@pytest.mark.slow
def test_fifty_kills_while_the_log_grows(devicesync: Devicesync) -> None:
    """At random moments; the journal rotates meanwhile."""
    chance = random.Random(5)
    for turn in range(50):
        simulate(devicesync, 150, seed=turn, journal_segment_bytes=300_000, journal_retention_seconds=3600.0)
        size = str(chance.choice([20_000, 60_000, 200_000]))
        victim = devicesync.start("backup", "run", "--to", "backup", "--max-file-bytes", size, "--max-file-seconds", "0.2")
        time.sleep(chance.random() * 0.4)
        victim.kill()
        victim.wait()
    back_up(devicesync)
    segments = sorted((devicesync.directory / DATA).glob(f"{LOG}.{'[0-9]' * 20}"))
    lines = [line for path in (*segments, devicesync.directory / DATA / LOG) for line in path.read_bytes().splitlines()]
    assert len(lines) == 50 * 150
    check_exactly_once(devicesync.directory, lines)


def test_an_idle_log_s_last_record_is_soon_in_a_file(devicesync: Devicesync) -> None:
    """Closed by age; SIGTERM closes the open files."""
    running = devicesync.start("backup", "run", "--to", "backup", "--max-file-seconds", "1")
    archive = archive_in(devicesync.directory)
    simulate(devicesync, 10)
    until(archive.manifest.entries)
    assert stopped(running) == 0
    running = devicesync.start("backup", "run", "--to", "backup")
    simulate(devicesync, 5, seed=2)
    time.sleep(1)
    assert stopped(running) == 0
    check_exactly_once(devicesync.directory, journal_lines(devicesync.directory))


def test_a_new_journal_is_a_new_generation(devicesync: Devicesync) -> None:
    """Its records count from 0 again, and are kept beside the old ones."""
    simulate(devicesync, 30)
    back_up(devicesync)
    for path in (devicesync.directory / DATA).iterdir():
        path.unlink() if path.is_file() else None
    simulate(devicesync, 20, seed=2)
    back_up(devicesync)
    files = devicesync.json("backup", "list", "--in", "backup")["files"]
    assert [(file["generation"], file["first_offset"], file["records"]) for file in files] == [(1, 0, 30), (2, 0, 20)]
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["records"] == 50


def test_a_segment_that_was_removed_before_it_was_read_is_a_gap(devicesync: Devicesync) -> None:
    """Else the records before and after it make one range: verify finds no problem, and a restore says that both stores are equal."""
    simulate(devicesync, 40)
    with (devicesync.directory / DATA / LOG).open("a") as journal:  # a stranger's blank lines are none
        journal.write("\n\n")
    for seed in (2, 3, 4):
        simulate(devicesync, 40, seed=seed, journal_segment_bytes=1, journal_retention_seconds=3600.0)
    segments = sorted((devicesync.directory / DATA).glob(f"{LOG}.{'[0-9]' * 20}"))
    removed = segments[len(segments) // 2]
    lost = len(removed.read_bytes().splitlines())
    removed.unlink()
    back_up(devicesync)
    files = devicesync.json("backup", "list", "--in", "backup")["files"]
    assert len(files) == 2
    assert sum(file["records"] for file in files) == 160 - lost
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert "gap: records" in problem["problem"]
    assert devicesync.run("restore", "--from", "backup", "--to-stores").returncode == 1
    assert devicesync.json("restore", "--from", "backup", "--to-stores", "--allow-gaps")["records"] == 160 - lost


@pytest.mark.parametrize("is_late", [False, True])
def test_a_clone_without_its_identity_is_kept_as_another_log(devicesync: Devicesync, *, is_late: bool) -> None:
    """As docs/backup.md says: nothing else is removed. The one that comes later is refused until it is another log."""
    simulate(devicesync, 20)
    back_up(devicesync)
    clone = devicesync.directory / "clone"
    shutil.copytree(devicesync.directory / DATA, clone)
    (clone / f".{LOG}.id").unlink() if not is_late else None
    simulate(devicesync, 30, seed=2)
    simulate(devicesync, 80, seed=3, data_dir=clone)
    runs: list[tuple[str, ...]] = [(), ("--data-dir", str(clone))]
    back_up(devicesync)
    if not is_late:
        back_up(devicesync, *runs[1])
    else:
        refused = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up", *runs[1])
        assert (refused.returncode, "records differ from the log's" in refused.stderr.decode()) == (1, True)
        assert devicesync.json("backup", "verify", "--in", "backup", "--deep", *runs[1], status=1)["problems"]
        (clone / f".{LOG}.id").unlink()
        simulate(devicesync, 1, seed=4, data_dir=clone)
        for more in reversed(runs):
            back_up(devicesync, *more)
    for more in runs:
        found = devicesync.json("backup", "verify", "--in", "backup", "--deep", *more)
        assert (found["problems"], found["behind"]) == ([], 0)
    kept = {row[3] for row in rows_in(archive_in(devicesync.directory), devicesync.directory)}
    assert kept >= {*journal_lines(devicesync.directory), *(clone / LOG).read_bytes().splitlines()}


def test_a_lost_position_repeats_no_record(devicesync: Devicesync) -> None:
    """The position is not synced; with the power an older one may come back."""
    simulate(devicesync, 100)
    back_up(devicesync, "--max-file-bytes", "20000")
    (devicesync.directory / DATA / f"{LOG}.reader.backup").write_text("7\n")
    simulate(devicesync, 10, seed=2)
    back_up(devicesync)
    check_exactly_once(devicesync.directory, journal_lines(devicesync.directory))


@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_damage_is_found_and_refused_by_name(devicesync: Devicesync, harm: str) -> None:
    """And nothing is written, not even of the whole files."""
    simulate(devicesync, 500)
    back_up(devicesync, "--max-file-bytes", "100000")
    victim = archive_in(devicesync.directory).manifest.entries()[-1].path
    file = devicesync.directory / "backup" / victim
    content = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if harm == "cut" else content[:99] + bytes([content[99] ^ 4]) + content[100:])
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert problem["path"] == victim
    refused = devicesync.run("restore", "--from", "backup", "--to-stores")
    assert (refused.returncode, victim in refused.stderr.decode()) == (1, True)
    assert devicesync.run("restore", "--from", "backup", "--to-stores").returncode == 1
    file.write_bytes(content)
    assert devicesync.json("backup", "verify", "--in", "backup")["problems"] == []
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["records"] == 500


def test_gaps_and_overlaps_are_found(devicesync: Devicesync) -> None:
    """Somebody removed an entry; somebody copied one."""
    simulate(devicesync, 500)
    back_up(devicesync, "--max-file-bytes", "100000")
    archive = archive_in(devicesync.directory)
    _, second, third, *_ = archive.manifest.entries()
    entry = devicesync.directory / "backup" / listed_at(second)
    content = entry.read_bytes().splitlines()[0]  # without its checksum
    entry.unlink()
    gap, unlisted = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert (gap["path"], "gap" in gap["problem"]) == (third.path, True)
    assert (unlisted["path"], "no entry" in unlisted["problem"]) == (second.path, True)
    entry.write_bytes(content.replace(b'"next_offset":%d' % second.next_offset, b'"next_offset":%d' % (second.next_offset + 3)))
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert (problem["path"], "overlap" in problem["problem"]) == (third.path, True)


def test_until_device_and_partitions(devicesync: Devicesync) -> None:
    """What was logged until then, of one device, of some partitions; an erase counts whenever it came."""
    old, new = '{"device_id":"%s","version":%d,"city":"Pune"}\n', '{"device_id":"%s","version":%d,"city":"Agra"}\n'
    version = (time.time_ns() // 1000) - 10_000_000
    lines = "".join(old % (name, version) for name in ("moved", "erased", "stays"))
    assert devicesync.run("apply", "-", stdin=lines.encode()).returncode == 0
    time.sleep(0.05)
    moment = time.time_ns() // 1_000_000
    time.sleep(0.05)
    assert devicesync.run("apply", "-", stdin=(new % ("moved", version + 1)).encode()).returncode == 0
    erased = devicesync.json("erase", "erased")["version"]
    back_up(devicesync)
    delete_database(devicesync.directory)
    assert devicesync.json("restore", "--from", "backup", "--to-stores", "--device", "stays")["records"] == 1
    assert devicesync.json("get", "moved", status=1)["version"] is None
    done = devicesync.json("restore", "--from", "backup", "--to-stores", "--partitions", "1")
    assert (done["records"], done["later_erases"], done["devices"]) == (
        0,
        1,
        1,
    )  # where a topic grows, an erase may lie elsewhere
    done = devicesync.json("restore", "--from", "backup", "--to-stores", "--until", str(moment))
    assert (done["records"], done["later_erases"], done["devices"]) == (3, 1, 3)
    assert devicesync.json("get", "moved")["profile"]["city"] == "Pune"
    assert devicesync.json("get", "erased", status=1)["version"] == erased
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["records"] == 5
    assert devicesync.json("get", "moved")["profile"]["city"] == "Agra"


def test_prune_keeps_what_a_restore_needs(devicesync: Devicesync) -> None:
    """The first files go, the last one stays; whoever was erased in a removed file stays erased; the backup goes on."""
    version = (time.time_ns() // 1000) - 10_000_000
    late = f'{{"device_id":"gone","version":{version},"city":"Pune"}}\n'
    assert devicesync.run("apply", "-", stdin=late.encode()).returncode == 0
    devicesync.json("erase", "gone")
    back_up(devicesync)
    assert devicesync.run("apply", "-", stdin=late.encode()).returncode == 0  # late, and from before the erase
    back_up(devicesync)
    assert devicesync.json("backup", "prune", "--in", "backup", "--keep-days", "1")["removed"] == []
    would = devicesync.json("backup", "prune", "--in", "backup", "--keep-days", "0", "--dry-run")["removed"]
    assert devicesync.json("backup", "prune", "--in", "backup", "--keep-days", "0")["removed"] == would
    assert len(would) == 1
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []
    delete_database(devicesync.directory)
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["records"] == 1
    assert devicesync.json("get", "gone", status=1)["erased"]
    simulate(devicesync, 10)
    assert back_up(devicesync)["records"] == 10


def test_json_lines_for_existing_readers(devicesync: Devicesync) -> None:
    """Zcat gives the log; and it restores like the other format."""
    simulate(devicesync, 200)
    back_up(devicesync, "--format", "jsonl")
    (file,) = (devicesync.directory / "backup").glob("*/dt=*/*.gz")
    assert gzip.decompress(file.read_bytes()).splitlines() == journal_lines(devicesync.directory)
    assert devicesync.json("restore", "--from", "backup", "--to-stores")["proof"]["database_differs"] == 0


def test_two_at_once_and_wrong_use(devicesync: Devicesync) -> None:
    """Each with a sentence and a hint."""
    devicesync.start("backup", "run", "--to", "backup")
    until((devicesync.directory / DATA / f"{LOG}.reader.backup").exists)
    second = devicesync.run("backup", "run", "--to", "backup")
    assert (second.returncode, b"another process" in second.stderr) == (3, True)
    for words, status in (
        (("restore", "--from", "nowhere", "--to-stores"), 2),
        (("backup", "list", "--in", "nowhere"), 2),
        (("backup", "run", "--to", "nosuch://bucket"), 2),
        (("restore", "--from", "backup"), 2),
        (("backup", "prune", "--in", "backup", "--keep-days", "nan"), 2),
        (("backup", "prune", "--in", "backup", "--keep-days", "inf"), 2),
        (("restore", "--from", "backup", "--to-stores", "--until", "yesterday"), 2),
    ):
        done = devicesync.run(*words)
        assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stderr
    devicesync.start("up")
    held = devicesync.run("restore", "--from", "nowhere", "--to-stores")
    assert held.returncode == 2


def test_an_interrupted_restore_goes_on(devicesync: Devicesync) -> None:
    """Killed at random moments; the counts are those of one run, and the proof holds."""
    simulate(devicesync, 20_000)
    back_up(devicesync, "--max-file-bytes", "300000")
    chance = random.Random(3)
    for _ in range(8):
        victim = devicesync.start("restore", "--from", "backup", "--to-stores", ready=False)
        time.sleep(0.05 + chance.random() * 0.5)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    done = devicesync.json("restore", "--from", "backup", "--to-stores")
    assert (done["records"], done["applied"] + done["dead"]) == (20_000, 20_000)
    assert (done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (0, 0)
    left = {path.name for path in (devicesync.directory / DATA).iterdir()}
    assert not left & {"restore", "restore.json"}


@pytest.mark.parametrize("log", ["journal:devicesync-data/_manifest", "kafka://127.0.0.1:1/_Manifest"])
def test_a_log_with_the_name_of_the_manifest_is_refused(devicesync: Devicesync, log: str) -> None:
    """Its files were the manifest's, each counted twice; after a redact nothing could be read for good."""
    refused = devicesync.run("backup", "run", "--to", "backup", "--until-caught-up", "--log", log)
    assert (refused.returncode, b"a log named _manifest can't be backed up" in refused.stderr) == (2, True)
    assert not (devicesync.directory / "backup").exists()


@pytest.mark.parametrize(("work", "parts"), [("gather_file", 1), ("settle_bucket", 4)])
def test_a_restore_that_was_killed_goes_on_where_it_was(devicesync: Devicesync, work: str, parts: int) -> None:
    """It began anew without a word. Once while files are read, once while buckets are written."""
    simulate(devicesync, 2000)
    back_up(devicesync, "--max-file-bytes", "300000")
    count = len(archive_in(devicesync.directory).manifest.entries())
    killed = devicesync.run_by(KILLED_WHEN_DONE, work, str(parts), *RESTORE)
    assert killed.returncode == -signal.SIGKILL
    held = json.loads((devicesync.directory / DATA / "restore.json").read_bytes())["results"]
    assert len(held) == (parts if work == "gather_file" else count)
    done = devicesync.run(*RESTORE, "--json")
    assert (done.returncode, f"going on: {len(held)} of {count} files".encode() in done.stderr) == (0, True)
    assert json.loads(done.stdout)["records"] == 2000


def test_what_an_interrupted_restore_had_read_and_lost_is_missed(devicesync: Devicesync) -> None:
    """Without the list of the one who had read it the next run said "equal in both stores" of the other files' devices."""
    simulate(devicesync, 2000)
    back_up(devicesync, "--max-file-bytes", "300000")
    assert devicesync.run_by(KILLED_WHEN_DONE, "gather_file", "1", *RESTORE).returncode == -signal.SIGKILL
    noted = json.loads((devicesync.directory / DATA / "restore.json").read_bytes())["results"]
    for result in noted.values():
        (devicesync.directory / DATA / "restore" / f"{result[-1]}.sizes").unlink()
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, b"--restart" in refused.stderr) == (1, True), refused.stderr
    assert devicesync.json(*RESTORE)["records"] == 2000


def test_what_an_interrupted_restore_had_proved_is_proved_again(devicesync: Devicesync) -> None:
    """The database was lost once more between: "equal in both stores", and the devices of four buckets were not there."""
    simulate(devicesync, 2000)
    back_up(devicesync)
    assert devicesync.run_by(KILLED_WHEN_DONE, "settle_bucket", "4", *RESTORE).returncode == -signal.SIGKILL
    delete_database(devicesync.directory)
    proof = devicesync.json(*RESTORE)["proof"]
    assert (proof["cache_differs"], proof["database_differs"]) == (0, 0)
    with closing(sqlite3.connect(devicesync.directory / DATA / "device-profile.db")) as database:
        assert database.execute("SELECT count(*) FROM device_profile").fetchone() == (proof["devices"],)


def test_a_restore_outlives_its_killed_workers(devicesync: Devicesync) -> None:
    """As when the system runs out of memory: the part is done again, and the command waits for nobody that is gone."""
    simulate(devicesync, 20_000)
    back_up(devicesync)
    running = devicesync.start("restore", "--from", "backup", "--to-stores", "--json", ready=False)
    killed: set[int] = set()
    while len(killed) < 2 and running.poll() is None:
        for pid in workers_of(running.pid) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    told, _ = running.communicate(timeout=100)
    assert (running.returncode, len(killed)) == (0, 2)
    done = json.loads(told)
    assert (done["records"], done["proof"]["cache_differs"], done["proof"]["database_differs"]) == (20_000, 0, 0)


def workers_of(pid: int) -> set[int]:
    """The worker processes of a command."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = set()
    for child in children:
        with suppress(OSError):  # it has ended
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found


def test_a_backup_whose_spool_was_removed_says_so_and_ends(devicesync: Devicesync) -> None:
    """It waited for room on the disk, until somebody started it again. The next start makes a spool, and has all records."""
    simulate(devicesync, 100)
    running = devicesync.start("backup", "run", "--to", "backup", "--max-file-seconds", "1")
    spools = devicesync.directory / DATA / "backup"
    until(archive_in(devicesync.directory).manifest.entries)
    shutil.rmtree(spools)
    simulate(devicesync, 100, seed=2)
    _, told = running.communicate(timeout=WAIT_SECONDS)
    assert (running.returncode, "was removed" in told, "start the command again" in told) == (3, True, True)
    assert "free some space" not in told
    back_up(devicesync)
    check_exactly_once(devicesync.directory, journal_lines(devicesync.directory))


def test_a_full_disk_is_waited_for(devicesync: Devicesync, tmp_path: Path) -> None:
    """Where the backup goes, and where its files are made; then each record is there once."""
    simulate(devicesync, 4000)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small], check=False, capture_output=True).returncode:
        pytest.skip("needs root, for a small file system")
    try:
        for where in ("target", "spool"):
            to = str(small) if where == "target" else str(devicesync.directory / "backup-spool")
            data = devicesync.directory / DATA / "backup"
            if where == "spool":
                data.rmdir()
                data.symlink_to(small)
            ballast = small / "ballast"
            ballast.write_bytes(b"x" * 150_000)
            running = devicesync.start("backup", "run", "--to", to, "--max-file-bytes", "1000000", "--until-caught-up")
            assert running.stderr
            while "waiting" not in running.stderr.readline():
                pass
            ballast.unlink()
            subprocess.run(["mount", "-o", "remount,size=10m", small], check=True)
            assert running.wait(WAIT_SECONDS) == 0
            archive = Archive(Storage(to), LOG)
            assert [row[0] for row in rows_in(archive, devicesync.directory)] == list(range(4000))
            for path in itertools.chain(small.glob("*")):
                subprocess.run(["rm", "-rf", path], check=True)
            subprocess.run(["mount", "-o", "remount,size=200k", small], check=True)
    finally:
        subprocess.run(["umount", "-l", small], check=True)
