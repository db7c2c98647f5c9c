"""A restore of a backup in which something is missing says so, and never "equal in both stores"."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from devicesync.archive.entry import Entry, spot_of
from devicesync.data_directory import Hold
from tests.archive.test_trust import listed_at
from tests.end_to_end.command import Devicesync
from tests.end_to_end.test_backup import DATA, KILLED_WHEN_DONE, archive_in, back_up, simulate

CLOCK_BEHIND = Path(__file__).parents[1] / "clock_behind.py"
PRUNE = ("backup", "prune", "--in", "backup", "--keep-days", "0")
RESTORE = ("restore", "--from", "backup", "--to-stores")
Harm = Callable[[Path], object]


def three_files(devicesync: Devicesync) -> list[Entry]:
    """A backup of three files."""
    for seed in range(3):
        simulate(devicesync, 100, seed=seed)
        back_up(devicesync)
    return archive_in(devicesync.directory).manifest.entries()


def empty(path: Path) -> None:
    """As a crash of the system leaves it."""
    path.write_bytes(b"")


@pytest.mark.parametrize("spot", [0, 1, 2])
@pytest.mark.parametrize("harm", [empty, Path.unlink])
def test_a_lost_or_torn_entry_is_refused_by_name(devicesync: Devicesync, harm: Harm, spot: int) -> None:
    """The first, the last, one between; `verify` finds the same, and --allow-gaps restores what is left."""
    entries = three_files(devicesync)
    entry = devicesync.directory / "backup" / listed_at(entries[spot])
    harm(entry)
    refused = devicesync.run(*RESTORE)
    told = refused.stderr.decode()
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert entries[spot].path in told or listed_at(entries[spot]) in told or "gap" in told
    found = {problem["path"] for problem in devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]}
    assert found & {entries[spot].path, listed_at(entries[spot])}
    entry.unlink(missing_ok=True)
    assert devicesync.json(*RESTORE, "--allow-gaps")["records"] == 200


def test_a_changed_digit_of_an_entry_is_refused_by_name(devicesync: Devicesync) -> None:
    """The last one's end lay 4 records further: they were never kept, "equal in both stores"."""
    entry = three_files(devicesync)[-1]
    there = devicesync.directory / "backup" / listed_at(entry)
    held, end = there.read_bytes(), b'"next_offset":%d' % entry.next_offset
    there.write_bytes(held.replace(end, end[:-1] + b"4"))
    assert there.read_bytes() != held
    for words in (RESTORE, ("backup", "run", "--to", "backup", "--until-caught-up"), ("backup", "verify", "--in", "backup")):
        told = devicesync.run(*words)
        assert (told.returncode != 0, b"checksum" in told.stdout + told.stderr) == (True, True)


def test_what_is_there_is_restored_where_a_listed_file_is_missing(devicesync: Devicesync) -> None:
    """With --allow-gaps, which names it; else nothing. A file that is there and damaged is refused by both."""
    entries = three_files(devicesync)
    lost = devicesync.directory / "backup" / entries[1].path
    lost.unlink()
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, f"{entries[1].path} is missing" in refused.stderr.decode()) == (1, True)
    done = devicesync.run(*RESTORE, "--allow-gaps", "--json")
    assert (done.returncode, msgspec.json.decode(done.stdout)["records"]) == (0, 200)
    assert f"{entries[1].path}" in done.stderr.decode()
    lost.write_bytes(b"junk")
    assert devicesync.run(*RESTORE, "--allow-gaps").returncode == 1


@pytest.mark.parametrize("lost", [(0, True), (1, True), (1, False), (2, False)])
def test_a_restore_with_gaps_names_them_and_does_not_claim_to_be_whole(devicesync: Devicesync, lost: tuple[int, bool]) -> None:
    """Where a range is gone with its file, and where only its entry is: it said "equal in both stores", and nothing else."""
    entries = three_files(devicesync)
    whole = devicesync.run(*RESTORE, "--allow-gaps")
    assert (b"not whole" in whole.stdout, b"passed over" in whole.stderr) == (False, False)
    spot, with_its_file = lost
    for path in (listed_at(entries[spot]), *([entries[spot].path] if with_its_file else [])):
        (devicesync.directory / "backup" / path).unlink()
    problems = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    named = {each["path"] for each in problems if "the log has records" not in each["problem"]}
    done = devicesync.run(*RESTORE, "--allow-gaps")
    told = [line for line in done.stderr.decode().splitlines() if line.startswith("passed over: ")]
    assert {line.split()[2] for line in told} == named
    assert (done.returncode, f"not whole: {len(told)} gaps" in done.stdout.decode().splitlines()[-1]) == (0, True)
    to_topic = (*RESTORE[:3], "--to-topic", "kafka://127.0.0.1:1/t", "--dry-run", "--allow-gaps")
    for words in ((*RESTORE, "--allow-gaps"), to_topic):
        assert devicesync.json(*words)["gaps"] == len(told)


def test_of_many_gaps_ten_are_named_and_all_are_counted(devicesync: Devicesync) -> None:
    """The lines have a bound."""
    first, *_ = three_files(devicesync)
    file = devicesync.directory / "backup" / first.path
    for offset in range(1000, 1012):
        shutil.copy(file, file.with_name(f"1_0_{offset}.parquet"))
    done = devicesync.run(*RESTORE, "--allow-gaps", "--json")
    told = done.stderr.decode()
    assert (msgspec.json.decode(done.stdout)["gaps"], told.count("passed over"), "and 2 more: " in told) == (12, 10, True)


def rewritten(devicesync: Devicesync, entry: Entry, **fields: object) -> None:
    """Its entry says something else; of a field that is None, nothing."""
    said = {name: value for name, value in (msgspec.to_builtins(entry) | fields).items() if value is not None}
    (devicesync.directory / "backup" / listed_at(entry)).write_bytes(msgspec.json.encode([said]))


@pytest.mark.parametrize("changed", ["--allow-gaps", "max_clock_ahead_seconds", "the clock", "its key", "nothing"])
def test_what_was_read_is_used_only_by_a_run_that_takes_the_same(devicesync: Devicesync, changed: str) -> None:
    """Killed with --allow-gaps under a clock that was behind, a restore went on without the erases that the law had refused."""
    three_files(devicesync)
    killing = ("gather_file", "3", *RESTORE, "--allow-gaps")
    if changed == "the clock":
        killed = devicesync.run_by(CLOCK_BEHIND, "3600", KILLED_WHEN_DONE, *killing)
    else:
        killed = devicesync.run_by(KILLED_WHEN_DONE, *killing)
    assert killed.returncode == -signal.SIGKILL
    if changed == "its key":
        (devicesync.directory / "devicesync-data" / "restore" / "key").unlink()
    if changed == "max_clock_ahead_seconds":
        (devicesync.directory / "devicesync.toml").write_text("max_clock_ahead_seconds = 301\n")
    done = devicesync.run(*RESTORE, *(() if changed == "--allow-gaps" else ("--allow-gaps",)))
    assert (done.returncode, b"going on" in done.stderr) == (0, changed == "nothing")


@pytest.mark.parametrize("spot", [0, 2])
def test_a_file_of_another_log_is_refused_by_name(devicesync: Devicesync, spot: int) -> None:
    """Two backups that were copied into one place, or a store that put one log's generation over another's.

    A log in whose place another one's records end is kept anew. Archives from before do not say whose a file is.
    """
    entries = three_files(devicesync)
    victim = entries[spot]
    rewritten(devicesync, victim, identity="another")
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, f"{victim.path} is of another log" in refused.stderr.decode()) == (1, True)
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert problem == {"path": victim.path, "problem": "is of another log than generation 1"}
    assert back_up(devicesync)["records"] == (300 if victim is entries[-1] else 0)
    assert devicesync.json(*RESTORE, "--allow-gaps")["records"] == (600 if victim is entries[-1] else 300)
    for entry in entries:
        rewritten(devicesync, entry, identity=None)
    assert devicesync.json("backup", "verify", "--in", "backup", "--deep")["problems"] == []


def test_a_lost_beginning_is_found(devicesync: Devicesync) -> None:
    """The first file is gone with its entry; what is left would look like a log whose retention came first."""
    first, second, _ = three_files(devicesync)
    for path in (first.path, listed_at(first)):
        (devicesync.directory / "backup" / path).unlink()
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, second.path in refused.stderr.decode()) == (1, True)
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"][:1]
    assert problem["path"] == second.path


def test_a_backup_all_of_whose_entries_are_torn_is_refused(devicesync: Devicesync) -> None:
    """It was "0 records, equal in both stores"."""
    for entry in three_files(devicesync):
        empty(devicesync.directory / "backup" / listed_at(entry))
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, b"is empty" in refused.stderr, refused.stdout) == (1, True, b"")


def test_a_file_with_fewer_records_than_its_entry_says_is_refused(devicesync: Devicesync) -> None:
    """Its checksum agrees, so somebody wrote both; and nothing is written."""
    (devicesync.directory / "backup").mkdir()
    entry = three_files(devicesync)[-1]
    there = devicesync.directory / "backup" / listed_at(entry)
    (told,) = msgspec.json.decode(there.read_bytes().splitlines()[0])
    there.write_bytes(msgspec.json.encode([told | {"records": 101, "next_offset": told["next_offset"] + 1}]))
    for words in (RESTORE, (*RESTORE[:3], "--to-topic", "kafka://127.0.0.1:1/t", "--dry-run")):
        refused = devicesync.run(*words)
        assert (refused.returncode, entry.path in refused.stderr.decode()) == (1, True)
    assert b"instead of 101" in devicesync.run("backup", "verify", "--in", "backup", "--deep").stdout
    assert devicesync.json("get", "any", status=1)["version"] is None


def test_beside_the_log_a_range_that_begins_too_early_is_found(devicesync: Devicesync) -> None:
    """Its file has the last of its records. `verify --deep` read the log from there on, and an erased device came back."""
    first, second, _ = three_files(devicesync)
    backup = devicesync.directory / "backup"
    name = f"_{spot_of(second.first_offset, first.from_offset)}."
    there = second.path.replace(f"_{second.first_offset}.", name)
    said = msgspec.to_builtins(second) | {"from_offset": first.from_offset, "follows": first.follows, "path": there}
    (backup / listed_at(first)).write_bytes(msgspec.json.encode([said]))
    (backup / second.path).rename(backup / there)
    for path in (listed_at(second), *first.paths):
        (backup / path).unlink()
    (found,) = devicesync.json("backup", "verify", "--in", "backup", "--deep", status=1)["problems"]
    assert found["path"] == there
    assert "100 records of the log are missing" in found["problem"]


def test_a_dry_run_leaves_what_a_restore_into_a_topic_noted(devicesync: Devicesync) -> None:
    """The interrupted one was refused then: the topic had records already, and nothing told that they were its own."""
    three_files(devicesync)
    noted = devicesync.directory / "devicesync-data" / "restore-topic.json"
    noted.write_text("noted")
    assert devicesync.run(*RESTORE[:3], "--to-topic", "kafka://127.0.0.1:1/t", "--dry-run").returncode == 0
    assert noted.read_text() == "noted"
    assert not [*noted.parent.glob("**/dry-run.json")]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("restore-topic", (*RESTORE[:3], "--to-topic", "kafka://127.0.0.1:1/t", "--dry-run")),
        ("restore-stores", RESTORE),
        ("sweep", ("audit",)),
    ],
)
def test_a_second_long_job_on_one_data_directory_is_refused(devicesync: Devicesync, job: str, words: tuple[str, ...]) -> None:
    """They noted in one file what was done: one ended by a file that another had taken, and a topic had each record thrice."""
    three_files(devicesync)
    assert devicesync.run(*RESTORE).returncode == 0
    with Hold(devicesync.directory / "devicesync-data" / job, "another"):
        refused = devicesync.run(*words)
        assert (refused.returncode, b"is held by `devicesync another`" in refused.stderr) == (3, True), refused.stderr
    assert devicesync.run(*words).returncode == 0


def test_a_lost_generation_is_refused_and_nothing_is_written_over(devicesync: Devicesync) -> None:
    """Which log a generation is of must be known: else its numbers were given twice, and files written over."""
    three_files(devicesync)
    generation = devicesync.directory / "backup" / "_manifest" / "device-profile.log" / "generation-1.json"
    for harm in (empty, Path.unlink):
        harm(generation)
        for command in (("backup", "run", "--to", "backup", "--until-caught-up"), RESTORE):
            refused = devicesync.run(*command)
            assert (refused.returncode, b"generation-1.json" in refused.stderr) == (1, True)
        for words in ((), ("--log", "journal:elsewhere.log")):
            (problem,) = devicesync.json("backup", "verify", "--in", "backup", *words, status=1)["problems"]
            assert problem["path"] == "_manifest/device-profile.log/generation-1.json"


@pytest.mark.parametrize("left", [1, 0])
def test_a_lost_end_of_an_older_generation_is_refused(devicesync: Devicesync, left: int) -> None:
    """The last files are gone with their entries: the next generation says how far they went."""
    entries = three_files(devicesync)
    for file in (devicesync.directory / DATA).iterdir():
        file.unlink() if file.is_file() else None
    simulate(devicesync, 20, seed=7)
    back_up(devicesync)
    for entry in entries[left:]:
        for path in (entry.path, listed_at(entry)):
            (devicesync.directory / "backup" / path).unlink()
    second = "_manifest/device-profile.log/generation-2.json"
    (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert (problem["path"], "up to offset 299 " in problem["problem"]) == (second, True)
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, second in refused.stderr.decode(), refused.stdout) == (1, True, b"")
    assert devicesync.json(*RESTORE, "--allow-gaps")["records"] == 20 + 100 * left


@pytest.fixture
def two_logs(devicesync: Devicesync) -> Path:
    """A place with the backups of two logs."""
    three_files(devicesync)
    event = b'{"device_id":"another log\'s","version":1600000000000000}\n'
    devicesync.json("apply", "-", "--data-dir", "other", "--log", "journal:other/other.log", stdin=event)
    devicesync.json(
        *("backup", "run", "--to", "backup", "--until-caught-up", "--data-dir", "other", "--log", "journal:other/other.log")
    )
    return devicesync.directory / "backup"


@pytest.mark.parametrize("harm", [shutil.rmtree, lambda manifest: manifest.rename(manifest.parents[2] / "elsewhere")])
def test_a_lost_manifest_is_found(devicesync: Devicesync, two_logs: Path, harm: Harm) -> None:
    """Its files are named. A restore takes no other log's records in their place, and no new backup is written over them."""
    files = {str(path.relative_to(two_logs)) for path in two_logs.glob("device-profile.log/dt=*/*")}
    harm(two_logs / "_manifest" / "device-profile.log")
    for words in ((), ("--deep",), ("--log", "journal:elsewhere.log")):
        problems = devicesync.json("backup", "verify", "--in", "backup", *words, status=1)["problems"]
        assert {problem["path"] for problem in problems} == files
    commands: list[tuple[str, ...]] = [RESTORE, ("backup", "run", "--to", "backup", "--until-caught-up")]
    for command in commands:
        refused = devicesync.run(*command)
        assert (refused.returncode, refused.stdout, b"device-profile.log" in refused.stderr) == (1, b"", True)


def test_another_log_s_records_are_restored_only_where_it_is_named(devicesync: Devicesync, two_logs: Path) -> None:
    """The stores got the only other log's, "equal in both stores"."""
    for directory in (two_logs, two_logs / "_manifest"):
        shutil.rmtree(directory / "device-profile.log")
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, b"other.log" in refused.stderr, b"--log" in refused.stderr) == (2, True, True)
    assert devicesync.json(*RESTORE, "--log", "journal:other/other.log")["records"] == 1


def test_what_was_read_is_removed_or_the_restore_says_that_it_can_not_be(devicesync: Devicesync) -> None:
    """Behind a link it stayed for good, and the next restore, of another backup, put it into its stores too."""
    three_files(devicesync)
    elsewhere = devicesync.directory / "elsewhere"
    elsewhere.mkdir()
    (devicesync.directory / DATA / "restore").symlink_to(elsewhere)
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, b"link" in refused.stderr, [*elsewhere.iterdir()]) == (3, True, [])


def test_a_restore_of_no_device_says_so(devicesync: Devicesync) -> None:
    """Not "equal in both stores"."""
    three_files(devicesync)
    for words in (("--device", "nobody"), ("--partitions", "7"), ("--until", "5")):
        done = devicesync.run(*RESTORE, *words)
        assert (done.returncode, b"not in the backup" in done.stderr, b"equal" in done.stdout) == (1, True, False)
    assert devicesync.json(*RESTORE, "--device", "nobody", status=1)["devices"] == 0


@pytest.mark.parametrize("spots", [[1], [2], [1, 2], [0, 1, 2]])
def test_a_range_that_no_prune_removes_does_not_count_as_pruned(devicesync: Devicesync, spots: list[int]) -> None:
    """One in the middle, the last ones, all of them: records were hidden so, and the rest was "equal in both stores"."""
    entries = three_files(devicesync)
    for spot in spots:
        archive_in(devicesync.directory).manifest.prune([entries[spot]], (), devicesync.directory)
    problems = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
    assert {problem["path"] for problem in problems} == {entries[spot].path for spot in spots}
    refused = devicesync.run(*RESTORE)
    assert (refused.returncode, entries[spots[0]].path in refused.stderr.decode(), refused.stdout) == (1, True, b"")


@pytest.mark.parametrize("spot", [0, 1, 2])
def test_erasures_that_somebody_adds_hide_nothing(devicesync: Devicesync, spot: int) -> None:
    """Whoever may add one object to the place hid a range's records, and had an operator's own command remove its files."""
    entries, place = three_files(devicesync), devicesync.directory / "backup"
    copy = devicesync.directory / "copy"
    shutil.copytree(place, copy / "backup")
    archive_in(copy).manifest.prune([entries[spot]], (), devicesync.directory)
    name = Path(listed_at(entries[spot])).with_suffix(".erasures.json")
    shutil.copy(copy / "backup" / name, place / name)
    for command in (
        (*PRUNE, "--dry-run"),
        ("backup", "redact", "--in", "backup", "--device", "x"),
        ("backup", "verify", "--in", "backup"),
    ):
        devicesync.run(*command)
    assert all((place / path).exists() for entry in entries for path in entry.paths)
    assert archive_in(devicesync.directory).manifest.entries() == entries
    assert devicesync.json(*RESTORE)["records"] == sum(entry.records for entry in entries)


def test_a_file_from_the_future_that_keeps_a_partition_whole_is_named(devicesync: Devicesync) -> None:
    """A prune removed nothing, and said nothing."""
    first, *_ = three_files(devicesync)
    assert devicesync.run(*PRUNE, "--dry-run").stderr == b""
    changed = msgspec.structs.replace(first, last_ms=10**18, closed_ms=10**18)
    (devicesync.directory / "backup" / listed_at(first)).write_bytes(msgspec.json.encode([changed]))
    for more in ((), ("--dry-run",)):
        done = devicesync.run(*PRUNE, *more)
        assert (done.returncode, first.path in done.stderr.decode(), b"in the future" in done.stderr) == (0, True, True)
    assert len(archive_in(devicesync.directory).manifest.entries()) == 3


def test_what_is_later_than_now_is_neither_restored_nor_redacted(devicesync: Devicesync) -> None:
    """By a clock that is behind, valid erases counted as refused: erased devices came back, and a redact took the erases away."""
    entries = three_files(devicesync)
    for command in (
        RESTORE,
        ("backup", "redact", "--in", "backup", "--device", "x"),
        ("digests", "make", "--of", "backup", "made"),
    ):
        refused = devicesync.run_by(CLOCK_BEHIND, "3600", *command)
        told = refused.stderr.decode()
        assert (refused.returncode, "set the clock" in told) == (1, True), told
        assert re.search(rf"{entries[0].path} has records of 3,[56]\d\d s past now", told), told
    verified = devicesync.run_by(CLOCK_BEHIND, "3600", "backup", "verify", "--in", "backup", "--json")
    later = [problem["path"] for problem in json.loads(verified.stdout)["problems"] if "later than now" in problem["problem"]]
    assert (verified.returncode, later) == (1, [entry.path for entry in entries])
    restored = devicesync.run_by(CLOCK_BEHIND, "3600", *RESTORE, "--allow-gaps", "--json")
    assert json.loads(restored.stdout)["records"] == 300


def test_refused_records_of_later_than_now_are_told(devicesync: Devicesync) -> None:
    """An erase among them does not count, and its device comes back. What an entry says has none refused."""
    first, *_ = three_files(devicesync)
    changed = msgspec.structs.replace(first, closed_ms=1_000_000_000_000)
    (devicesync.directory / "backup" / listed_at(first)).write_bytes(msgspec.json.encode([changed]))
    assert devicesync.json(*RESTORE, "--dry-run")["ahead"] == 0
    done = devicesync.run_by(CLOCK_BEHIND, "3600", *RESTORE, "--allow-gaps", "--json")
    document = msgspec.json.decode(done.stdout)
    assert 90 < document["ahead"] <= document["dead"]
    assert b"of the refused records have versions of later" in done.stderr


def test_another_topic_s_damage_holds_up_no_redact(devicesync: Devicesync) -> None:
    """It is named at the end, and the exit status is 1."""
    first, *_ = three_files(devicesync)
    torn = devicesync.directory / "backup" / "_manifest" / "aaa" / "1" / "0" / "0.json"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"")
    done = devicesync.run(*PRUNE)
    assert (done.returncode, b"_manifest/aaa/1/0/0.json" in done.stderr) == (1, True)
    assert not (devicesync.directory / "backup" / first.path).exists()


def test_a_killed_prune_leaves_a_whole_backup(devicesync: Devicesync) -> None:
    """Between the removal of the entry and of the file; `verify` names the file, and the next prune or redact removes it."""
    first, *_ = three_files(devicesync)
    file = devicesync.directory / "backup" / first.path
    content = file.read_bytes()
    assert len(devicesync.json("backup", "prune", "--in", "backup", "--keep-days", "0")["removed"]) == 2
    for words in (PRUNE, ("backup", "redact", "--in", "backup", "--device", "nobody")):
        file.write_bytes(content)
        (problem,) = devicesync.json("backup", "verify", "--in", "backup", status=1)["problems"]
        assert (problem["path"], "its range is pruned" in problem["problem"]) == (first.path, True)
        assert devicesync.json(*RESTORE)["records"] == 100
        devicesync.run(*words)
        assert not file.exists()
        assert devicesync.json("backup", "verify", "--in", "backup")["problems"] == []
