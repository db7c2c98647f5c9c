"""An erased device's records go out of the files of a backup, and whatever crashes leaves a whole backup."""

import gzip
import tracemalloc
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from devicesync.archive import ranges
from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry
from devicesync.archive.manifest import Manifest
from devicesync.archive.storage import Storage
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact as command
from devicesync.assembly.watcher import Unwatched
from devicesync.config import Settings
from devicesync.jobs.backup.redact import Redaction, Traces
from devicesync.jobs.backup.verify import check_entries
from devicesync.log.full import FullRecord
from tests.archive.test_days import DAY_MS, MIDNIGHT_MS, kept, ranges_of, rows_of

V = (MIDNIGHT_MS - 3 * DAY_MS) * 1000
FORMATS = pytest.mark.parametrize("file_format", ["parquet", "jsonl"])


def record(offset: int, device_id: str, key: bytes | None = None, **fields: object) -> FullRecord:
    """A registration of the day."""
    value = msgspec.json.encode({"device_id": device_id, **fields})
    return (offset, MIDNIGHT_MS + offset % 2 * DAY_MS, key, value, [("h", b"PLANTED")] if "PLANTED" in str(fields) else None)


ROWS = [
    record(0, "gone", version=V, city="PLANTED"),
    record(1, "stays", version=V, city="Pune"),
    record(2, "gone", version=V + 1, state="PLANTED\n"),
    (3, MIDNIGHT_MS, b"gone", b"no JSON PLANTED", None),
    (4, MIDNIGHT_MS, b"gone", b'{"device_id":"\\u0067one","version":%d,"city":"PLANTED"}' % V, None),
    record(5, "gone", version=V + 10, erase=True),
    record(6, "stays", b"gone", version=V + 3, city="gone"),
    record(7, "gone", version=V + 20, city="Agra"),
    (8, MIDNIGHT_MS, None, b'{"device_id":"gone","city":{"a":"PLANTED"}}', None),
    (9, MIDNIGHT_MS, None, b'{"device_id":"gone too","city":{"a":"refused"}}', None),
]
REDACTED = [1, 5, 6, 7, 9]


def backup(directory: Path, file_format: str) -> Archive:
    """One range of two days, and one that has nothing but the device's records."""
    first = ranges_of(directory, ROWS, step=10, file_format=file_format)
    second = ranges_of(directory, [record(10, "gone", version=V, city="PLANTED")], step=1, file_format=file_format)
    return kept(directory, first + second)


def redact(archive: Archive, directory: Path) -> int:
    """As the command does it."""
    redaction = Redaction(archive, "gone", directory, 300_000)
    before = sum(entry.records for entry in archive.manifest.entries())
    removed = before - sum(entry.records for files in by_range(archive) for entry in redaction.rewrite(files, V + 10))
    archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries())
    return removed


def by_range(archive: Archive) -> list[list[Entry]]:
    """What the manifest names."""
    return ranges.by_range(archive.manifest.entries())


def offsets(archive: Archive, directory: Path) -> list[int]:
    """Of all records, after all files proved whole."""
    return sorted(row[0] for some in rows_of(archive, directory).values() for row in some)


def planted(directory: Path) -> list[str]:
    """The files of the backup, listed or not, that have what was planted."""
    found = []
    for path in (directory / "backup").rglob("*.*"):
        if path.suffix == ".parquet":
            content = str(pq.read_table(path, partitioning=None).to_pylist()).encode()
        else:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        found += [path.name] if b"PLANTED" in content else []
    return found


def unnamed(archive: Archive, directory: Path) -> set[str]:
    """The files of records, and their rests, that are there, and that the manifest does not name."""
    place = directory / "backup"
    there = {str(path.relative_to(place)) for path in place.rglob("*.*") if path.suffix in {".parquet", ".gz"}}
    return there - {path for entry in archive.manifest.entries() for path in entry.paths}


@FORMATS
def test_what_an_erase_removed_goes_and_the_rest_stays(tmp_path: Path, file_format: str) -> None:
    """Bad records with its key too; not the erase, nor the registration after it, nor others' under its key; twice is once."""
    archive = backup(tmp_path, file_format)
    assert len(planted(tmp_path)) >= 2
    assert redact(archive, tmp_path) == 6
    assert (offsets(archive, tmp_path), planted(tmp_path)) == (REDACTED, [])
    assert archive.unlisted(archive.manifest.entries()) == {}
    assert redact(archive, tmp_path) == 0
    newest = archive.manifest.newest(1, 3)
    assert newest
    assert newest.next_offset == 11


class Killed(Exception):
    """Stands for SIGKILL: nothing is done after it."""


@FORMATS
@pytest.mark.parametrize("step", ["rest", "first file", "files", "listed", "first removed"])
def test_a_crash_at_each_step_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, step: str
) -> None:
    """Every file that the manifest names is whole; the next redact completes it, and leaves nothing behind.

    A rest whose file was not put any more stayed for good, with what is of devices that are erased later.
    """
    archive = backup(tmp_path, file_format)
    spots = {
        "rest": (Storage, "put", 2),
        "first file": (Archive, "upload", 2),
        "files": (Manifest, "replace", 1),
        "listed": (Manifest, "sweep", 1),
    }
    owner, name, times = spots.get(step, (Storage, "remove", 2))
    whole = getattr(owner, name)
    left = times

    def killed(*arguments: object) -> object:
        nonlocal left
        left -= 1
        if not left:
            raise Killed
        return whole(*arguments)

    monkeypatch.setattr(owner, name, killed)
    with pytest.raises(Killed):
        redact(archive, tmp_path)
    monkeypatch.undo()
    assert set(REDACTED) <= set(offsets(archive, tmp_path))
    assert archive.unlisted(archive.manifest.entries()) == {}
    assert step == "first removed" or len(unnamed(archive, tmp_path)) >= 1
    assert {each.path for each in check_entries(archive, [], [], archive.manifest.entries())} == unnamed(archive, tmp_path)
    redact(archive, tmp_path)
    assert offsets(archive, tmp_path) == REDACTED
    assert (planted(tmp_path), unnamed(archive, tmp_path)) == ([], set())


@pytest.mark.parametrize("how", ["redact", "prune"])
def test_a_rest_whose_file_came_in_another_format_goes_with_its_range(tmp_path: Path, how: str) -> None:
    """A backup with --format jsonl was killed between the two, and run without: both registrations stayed for good."""
    storage = Storage(str(tmp_path / "backup"))
    Archive(storage, "topic").manifest.generation_of("id")
    for file in ranges_of(tmp_path, ROWS, step=10, file_format="jsonl")[0]:
        assert file.rest_here
        assert file.entry.rest
        storage.put(file.rest_here, file.entry.rest.path)
    archive = backup(tmp_path, "parquet")
    archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries())
    left = unnamed(archive, tmp_path)
    assert left == {f"_manifest/topic/1/3/{spot}.rest.parquet" for spot in ("0", "1-0")}, "a backup may be about to name them"
    assert {each.path for each in check_entries(archive, [], [], archive.manifest.entries())} == left
    if how == "prune":
        settings = Settings(data_dir=str(tmp_path / "data"))
        assert len(prune(str(tmp_path / "backup"), settings, Unwatched(), before_ms=1 << 60, dry_run=False)) == 2
    else:
        redact(archive, tmp_path)
    assert unnamed(archive, tmp_path) == set()


@FORMATS
def test_what_comes_late_from_the_backup_changes_nothing(tmp_path: Path, file_format: str) -> None:
    """A backup process that was stopped while it listed a range goes on after the redact, or after the prune."""
    archive = backup(tmp_path, file_format)
    first = archive.manifest.entries()
    late = {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    redact(archive, tmp_path)
    for path, content in late.items():
        path.write_bytes(content)
    assert offsets(archive, tmp_path) == REDACTED
    redact(archive, tmp_path)
    assert planted(tmp_path) == []
    archive.manifest.prune(by_range(archive)[0], {"gone": V + 10}.items(), tmp_path)
    for path, content in late.items():
        if path.suffix == ".json":
            path.write_bytes(content)
    assert offsets(archive, tmp_path) == []
    archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries())
    assert {entry.range for entry in archive.manifest.pruned_entries()} == {first[0].range}
    assert planted(tmp_path) == []


def test_a_redact_that_was_killed_and_lists_late_loses(tmp_path: Path) -> None:
    """The next one, which knows that it was there, has taken a higher number; so no file is missing that is listed."""
    archive = backup(tmp_path, "parquet")
    held = {path.name: path.read_bytes() for path in (tmp_path / "backup" / "_manifest").rglob("*.json")}
    redaction = Redaction(archive, "gone", tmp_path, 300_000)
    redaction.rewrite(by_range(archive)[0], V + 10)
    (listed,) = [path for path in (tmp_path / "backup" / "_manifest").rglob("*.json") if path.name not in held]
    content = listed.read_bytes()
    listed.unlink()
    for range_ in ranges_of(tmp_path, ROWS, step=10):
        for file in range_:
            archive.upload(file)
    redact(archive, tmp_path)
    listed.write_bytes(content)
    assert offsets(archive, tmp_path) == REDACTED
    assert planted(tmp_path) == []


def test_a_registration_of_the_erases_very_version_goes(tmp_path: Path) -> None:
    """For the erase removes what is at or before its version."""
    rows = [record(0, "gone", version=V + 10, city="PLANTED"), record(2, "gone", version=V + 10, erase=True)]
    kept(tmp_path, ranges_of(tmp_path, rows[:1], step=1) + ranges_of(tmp_path, rows[1:], step=1))
    settings = Settings(data_dir=str(tmp_path / "data"))
    done = command(str(tmp_path / "backup"), "gone", settings, Unwatched(), dry_run=False)
    assert (done["records"], planted(tmp_path)) == (1, [])


@FORMATS
def test_of_an_erase_its_id_and_version_stay(tmp_path: Path, file_format: str) -> None:
    """The law takes an erase with data, as a producer may write it. One that is nothing else stays as it is, with its headers."""
    values = [
        b'{"device_id":"gone","erase":true,"version":%d,"city":"PLANTED","x":{"y":"PLANTED"}}' % V,
        b'\xef\xbb\xbf{"version":%d,"erase":true,"device_id":"\\u0067one","fcm_token":"PLANTED"}' % (V + 1),
        b'{"device_id":"gone","erase":true,"version":%d}' % (V + 2),
        b'{"device_id":"other","erase":true,"version":%d,"city":"gone"}' % V,
    ]
    rows: list[FullRecord] = [(2 * at, MIDNIGHT_MS, b"k", value, [("h", b"x")]) for at, value in enumerate(values)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=10, file_format=file_format))
    settings = Settings(data_dir=str(tmp_path / "data"))
    done = command(str(tmp_path / "backup"), "gone", settings, Unwatched(), dry_run=False)
    assert (done["records"], len(done["rewritten"]), planted(tmp_path)) == (0, 1, [])
    bare: list[FullRecord] = [
        (2 * at, MIDNIGHT_MS, b"k", b'{"device_id":"gone","erase":true,"version":%d}' % (V + at), None) for at in (0, 1)
    ]
    assert [*rows_of(archive, tmp_path).values()] == [[*bare, *rows[2:]]]
    assert command(str(tmp_path / "backup"), "gone", settings, Unwatched(), dry_run=False)["rewritten"] == []


def test_of_the_records_of_a_device_nothing_is_kept_but_versions(tmp_path: Path) -> None:
    """All of a forged file may have its key: 162 KB of them took 3.8 GiB."""
    rows: list[FullRecord] = [(at, MIDNIGHT_MS, b"gone", bytes(8 << 20), None) for at in range(12)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=1))
    (entry,) = archive.manifest.entries()
    tracemalloc.start()
    try:
        assert Redaction(archive, "gone", tmp_path, 300_000).traces(entry) == Traces(0, 0)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value",
    [
        b'{"device_id":"ger\\u00e4t/1","city":{"a":"PLANTED"}}',
        b'{"device_id":"ger\xc3\xa4t\\/1","city":{"a":"PLANTED"}}',
        b'"{\\"device_id\\":\\"ger\\\\u00e4t/1\\",\\"city\\":\\"PLANTED\\"}"',
        b"{'device_id': 'ger\xc3\xa4t/1', 'city': 'PLANTED'}",
    ],
)
def test_a_bad_record_goes_however_it_writes_the_device_s_id(tmp_path: Path, value: bytes) -> None:
    """With escapes, as JSON within JSON, or in single quotes. What names another device stays."""
    name = "gerät/1"
    others = (2, MIDNIGHT_MS, None, value.replace(b"ger", b"Ger"), None)
    rows = [record(0, name, version=V, erase=True), (1, MIDNIGHT_MS, None, value, None), others]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=10, file_format="parquet"))
    redaction = Redaction(archive, name, tmp_path, 300_000)
    assert [redaction.traces(entry).oldest for entry in archive.manifest.entries()] == [0]
    assert [entry.records for files in by_range(archive) for entry in redaction.rewrite(files, V)] == [2]
    assert offsets(archive, tmp_path) == [0, 2]
