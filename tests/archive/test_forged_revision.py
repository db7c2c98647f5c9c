"""A revision that no redact made hides records and erases. Who may only add objects to a bucket leaves what it replaces."""

import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from devicesync.archive.archive import Archive
from devicesync.archive.encoder import Encoder
from devicesync.archive.entry import MOST_KILLED, MOST_REDACTS, Entry, Origin, rest_path, revised
from devicesync.archive.files import OpenFile
from devicesync.archive.manifest import Manifest
from devicesync.archive.ranges import ENTRY, listing_path, revised_path
from devicesync.archive.storage import Storage
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.backup.verify import verify
from devicesync.assembly.restore.run import Request, begin
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import Damaged
from devicesync.jobs.backup.redact import Redaction, _revised
from devicesync.jobs.restore.selection import Selection
from devicesync.log.full import FullRecord
from tests.archive.test_days import DAY_MS, MIDNIGHT_MS, kept, ranges_of, rows_of
from tests.archive.test_redact import FORMATS, Killed, V, by_range, offsets, record, unnamed

ROWS = [
    record(0, "gone", version=V, city="Pune"),
    record(1, "stays", version=V, city="Agra"),
    record(2, "gone", version=V + 10, erase=True),
    record(3, "stays", version=V + 1, city="Delhi"),
]
NEXT = [record(4, "stays", version=V + 2, city="Goa")]


def backup(directory: Path, file_format: str = "parquet") -> Archive:
    """A range of two days, and one after it, so that a prune may take the first."""
    first = ranges_of(directory, ROWS, step=4, file_format=file_format)
    return kept(directory, first + ranges_of(directory, NEXT, step=1, file_format=file_format))


def forge(archive: Archive, directory: Path, left: list[int], more: Sequence[FullRecord] = (), *, number: int = 1) -> None:
    """Add a revision of the first range that has these records of it, and more in its first file; nothing is changed or removed."""
    files, closed = by_range(archive)[0], []
    revision = f"{max(number, 1 + archive.last_revision(files))}-{uuid.uuid4().hex[:8]}"
    rows = {path.split("/", 1)[1]: some for path, some in rows_of(archive, directory).items()}
    with closing(Encoder(directory)) as encoder:
        for entry in files:
            origin = Origin(entry.topic, entry.source, entry.generation, entry.partition, entry.identity)
            file = OpenFile(directory, origin, entry.format, encoder)
            if some := [row for row in rows[entry.path.split("/", 1)[1]] if row[0] in left]:
                file.write(sorted([*some, *more]) if entry is files[0] else some)
                file.end_group()
            made = file.close(entry.from_offset, entry.next_offset, 1 << 20)
            made.entry = _revised(entry, revision, made.entry)
            closed.append(made)
    for made in closed:
        archive.upload(made)
    archive.manifest.replace(files, [made.entry for made in closed])


def settings_of(directory: Path) -> Settings:
    """Without a log beside."""
    return Settings(data_dir=str(directory / "data"), log=f"journal:{directory}/data/topic")


def problems(directory: Path) -> list[dict[str, str]]:
    """As `verify` finds them."""
    found: list[dict[str, str]] = verify(str(directory / "backup"), settings_of(directory), Unwatched(), deep=False)["problems"]
    return found


def commands(directory: Path) -> list[str]:
    """What redact, prune and restore raise."""
    place, settings = str(directory / "backup"), settings_of(directory)
    said = []
    for command in (
        lambda: redact(place, "gone", settings, Unwatched(), dry_run=False),
        lambda: redact(place, "other", settings, Unwatched(), dry_run=False),
        lambda: prune(place, settings, Unwatched(), before_ms=1 << 60, dry_run=False),
        lambda: begin(Request(place, Selection(), False, False, 1, False), settings, Unwatched()),  # noqa: FBT003 - named in Request
    ):
        with pytest.raises(Damaged) as raised:
            command()
        said.append(f"{raised.value}\n{raised.value.hint}")
    return said


@FORMATS
@pytest.mark.parametrize(("left", "count", "first"), [([1, 2], 1, 3), ([0, 1, 3], 1, 2), ([], 2, 0)])
def test_a_forged_revision_is_refused_by_name_and_what_it_replaces_stays(
    tmp_path: Path, file_format: str, left: list[int], count: int, first: int
) -> None:
    """Also where an erase is all that it hides. It was restored as equal; verify and prune had the true records removed."""
    archive = backup(tmp_path, file_format)
    before = {path: path.read_bytes() for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    originals = {path for entry in by_range(archive)[0] for path in entry.paths}
    forge(archive, tmp_path, left)
    revision = by_range(archive)[0]
    named = f"{count} records of topic/dt="
    found = problems(tmp_path)
    assert {each["path"] for each in found} <= {entry.path for entry in revision}
    assert any(named in each["problem"] and f"at offset {first}" in each["problem"] for each in found)
    for said in commands(tmp_path):
        assert "no erase in the backup covers them" in said
        assert "one of the two is forged, or both" in said
    assert {path: path.read_bytes() for path in before} == before
    assert originals <= unnamed(archive, tmp_path)
    for path in (revised_path(listing_path(revision, ENTRY), revision), *(path for entry in revision for path in entry.paths)):
        (tmp_path / "backup" / path).unlink()
    assert (problems(tmp_path), offsets(archive, tmp_path)) == ([], [0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    "other",
    [
        {"first_offset": 2, "path": "topic/dt=2022-01-09/1_3_2-0.1-deadbeef.parquet"},
        {"path": "topic/dt=1999-01-01/1_3_1-0.1-deadbeef.parquet"},
    ],
)
def test_a_revision_has_the_places_of_what_it_replaces(tmp_path: Path, other: dict[str, Any]) -> None:
    """One of another first offset, or another day, was compared with nothing, and the true file counted as left by an upload."""
    archive = backup(tmp_path, "parquet")
    files = by_range(archive)[0]
    first, last = (
        msgspec.structs.replace(each, revision="1-deadbeef", path=each.path.replace(".", ".1-deadbeef.", 1)) for each in files
    )
    archive.manifest.replace(files, [first, msgspec.structs.replace(last, **other)])
    found = problems(tmp_path)
    assert any(each["path"] == first.path and "its entry says otherwise" in each["problem"] for each in found)
    assert {each["path"] for each in found}.isdisjoint(path for each in files for path in each.paths)
    for said in commands(tmp_path):
        assert "its entry says otherwise" in said or "has no entry in the manifest" in said
    assert archive.missing(files) == set()


def redact_until_killed(archive: Archive, directory: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A redact of the first range whose process is killed when it is about to take this step of the manifest's."""

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, step, killed)
        with pytest.raises(Killed):
            Redaction(archive, "gone", directory, 300_000).rewrite(by_range(archive)[0], V + 10)


@FORMATS
def test_what_a_killed_redact_leaves_is_verified_restored_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    """Both files of a range are there, and the erase covers what the new one lacks."""
    archive = backup(tmp_path, file_format)
    redact_until_killed(archive, tmp_path, monkeypatch, "sweep")
    left = unnamed(archive, tmp_path)
    assert left
    assert len(archive.replaced(archive.manifest.entries())) == 2
    found = problems(tmp_path)
    assert {each["path"] for each in found} == left
    assert all("is on its way" in each["problem"] for each in found)
    place, settings = str(tmp_path / "backup"), settings_of(tmp_path)
    begin(Request(place, Selection(), False, False, 1, False), settings, Unwatched())  # noqa: FBT003 - named in Request
    assert redact(place, "other", settings, Unwatched(), dry_run=False)["rewritten"] == []
    assert (problems(tmp_path), unnamed(archive, tmp_path), offsets(archive, tmp_path)) == ([], set(), [1, 2, 3, 4])


@FORMATS
@pytest.mark.parametrize("seconds", [0, 300, 3600, 86_400])
def test_under_whichever_setting_a_redact_ran_its_revision_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, seconds: int
) -> None:
    """Erases and registrations 10, 30 and 90 minutes past their log times. With another setting a redact counted as forged."""
    late = [(MIDNIGHT_MS + minutes * 60_000) * 1000 for minutes in (10, 30, 90)]
    rows = [
        record(0, "gone", version=V, city="Pune"),
        *(record(2 + 2 * spot, "gone", version=version, city="Goa") for spot, version in enumerate(late)),
        *(record(8 + 2 * spot, "gone", version=version, erase=True, city="Goa") for spot, version in enumerate(late)),
        record(14, "gone", version=V + 10, erase=True),
        (15, None, b"gone", b'{"device_id":"gone","version":7258118400000000,"erase":true,"city":"Goa"}', None),
    ]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=16, file_format=file_format))
    monkeypatch.setattr(Manifest, "sweep", lambda *_: None)
    redaction, files = Redaction(archive, "gone", tmp_path, seconds * 1000), by_range(archive)[0]
    redaction.rewrite(files, max(redaction.traces(entry).erased for entry in files))
    left = offsets(archive, tmp_path)
    assert left[-5:] == [8, 10, 12, 14, 15]
    assert 0 not in left
    assert (6 in left) is (seconds == 86_400), "by that setting it was no refused one, and no erase counts that covers it"
    assert all(redaction.traces(entry).oldest in (None, *late) for entry in by_range(archive)[0])
    for other in (0, 300, 3600, 86_400):
        settings = Settings(data_dir=str(tmp_path / "data"), log=f"journal:{tmp_path}/data/topic", max_clock_ahead_seconds=other)
        found = verify(str(tmp_path / "backup"), settings, Unwatched(), deep=True)["problems"]
        assert found
        assert all("is on its way" in each["problem"] for each in found)


@pytest.mark.parametrize("offset", [1, 3])
def test_a_revision_that_has_more_is_refused(tmp_path: Path, offset: int) -> None:
    """An erase between the records of a day would else cover all that is left out, and one after them too."""
    archive = backup(tmp_path)
    forge(archive, tmp_path, [0, 1, 2], [record(offset, "stays", version=V + 20, erase=True)])
    assert all("1 records are not in topic/dt=" in said for said in commands(tmp_path))


def test_a_revision_above_one_of_a_redact_is_refused_too(tmp_path: Path) -> None:
    """Where the first files are gone, those that a redact wrote tell."""
    archive = backup(tmp_path)
    Redaction(archive, "gone", tmp_path, 300_000).rewrite(by_range(archive)[0], V + 10)
    revision: list[Entry] = by_range(archive)[0]
    forge(archive, tmp_path, [1, 2])
    assert by_range(archive)[0] != revision
    assert any(revision[1].path in said for said in commands(tmp_path))


def test_an_erase_that_was_pruned_covers(tmp_path: Path) -> None:
    """Its range is not there any more, and its erases are."""
    archive = backup(tmp_path)
    kept(tmp_path, ranges_of(tmp_path, [record(5, "gone", version=V + 1, city="Pune")], step=1))
    archive.manifest.prune(by_range(archive)[0], {"gone": V + 10}.items(), tmp_path)
    old = {path: path.read_bytes() for path in (tmp_path / "backup" / "topic").rglob("*.parquet")}
    assert redact(str(tmp_path / "backup"), "gone", settings_of(tmp_path), Unwatched(), dry_run=False)["records"] == 1
    for path, content in old.items():
        path.write_bytes(content)
    assert len(archive.replaced(archive.manifest.entries())) == 1
    assert all("is on its way" in each["problem"] for each in problems(tmp_path))


def test_a_listing_that_is_damaged_beside_a_revision_holds_nothing_up(tmp_path: Path) -> None:
    """It does not count."""
    archive = backup(tmp_path)
    redact(str(tmp_path / "backup"), "gone", settings_of(tmp_path), Unwatched(), dry_run=False)
    (tmp_path / "backup" / listing_path(by_range(archive)[0], ENTRY)).write_bytes(b"junk")
    (tmp_path / "backup" / msgspec.structs.replace(by_range(archive)[0][0]).path.replace(".1-", ".2-")).write_bytes(b"junk")
    assert archive.replaced(archive.manifest.entries()) == []


@pytest.mark.parametrize("said", [{"closed_ms": 1}, {"source": "another"}])
def test_a_revision_whose_entry_says_otherwise_is_refused(tmp_path: Path, said: dict[str, object]) -> None:
    """With the very same records: closed in 1970, an erase counted as one of the future, and the erased device was back."""
    archive = backup(tmp_path)
    before = {path for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    forge(archive, tmp_path, [0, 1, 2, 3])
    (listing,) = {path for path in (tmp_path / "backup" / "_manifest").rglob("*.json") if path not in before}
    entries = [entry | said for entry in msgspec.json.decode(listing.read_bytes().splitlines()[0])]
    listing.write_bytes(msgspec.json.encode(entries))
    assert any("no `devicesync backup redact` changes it so" in each["problem"] for each in problems(tmp_path))
    assert all("says otherwise" in each for each in commands(tmp_path))


@FORMATS
@pytest.mark.parametrize("logged_ms", [None, MIDNIGHT_MS + 4 * DAY_MS])
def test_a_record_whose_time_comes_is_no_refused_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, logged_ms: int | None
) -> None:
    """A redact took it out as one of later than now. When that was no longer so, the redact counted as a forgery."""
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: MIDNIGHT_MS + 2 * DAY_MS, raising=False)
    later = (MIDNIGHT_MS + 4 * DAY_MS) * 1000
    late: FullRecord = (0, logged_ms, None, b'{"device_id":"gone","version":%d,"city":"Goa"}' % later, None)
    rows = [late, record(2, "gone", version=V, city="Pune"), record(4, "gone", version=V + 10, erase=True)]
    archive = kept(tmp_path, ranges_of(tmp_path, rows, step=6, file_format=file_format))
    monkeypatch.setattr(Manifest, "sweep", lambda *_: None)
    redaction, files = Redaction(archive, "gone", tmp_path, 300_000), by_range(archive)[0]
    redaction.rewrite(files, max(redaction.traces(entry).erased for entry in files))
    assert offsets(archive, tmp_path) == [0, 4]
    assert {redaction.traces(entry).oldest for entry in by_range(archive)[0]} <= {None, later}
    assert problems(tmp_path)
    for days in (2, 5):
        monkeypatch.setattr(SYSTEM, "now_ms", lambda days=days: MIDNIGHT_MS + days * DAY_MS, raising=False)
        assert not [each for each in problems(tmp_path) if "no erase" in each["problem"]]


@FORMATS
def test_a_file_of_a_far_revision_holds_no_redact_up(tmp_path: Path, file_format: str) -> None:
    """The next revision had a number that is one higher, and a file of a name that is too long can't be made."""
    archive = backup(tmp_path, file_format)
    files = by_range(archive)[0]
    for number in (MOST_KILLED, MOST_KILLED + 1, 999_999_999, int("9" * 200)):
        forged = tmp_path / "backup" / files[0].path.replace(".", f".{number}-00000000.", 1)
        forged.write_bytes(b"junk")
        listing = tmp_path / "backup" / listing_path(files, ENTRY).replace(".json", f".{number}-00000000.json")
        listing.write_bytes(b"junk") if number > 999_999_999 else None
    assert archive.last_revision(files) == MOST_KILLED
    assert redact(str(tmp_path / "backup"), "gone", settings_of(tmp_path), Unwatched(), dry_run=False)["records"] == 1
    assert {entry.revision.partition("-")[0] for entry in by_range(archive)[0]} == {str(MOST_KILLED + 1)}
    assert offsets(archive, tmp_path) == [1, 2, 3, 4]


def test_a_revision_of_a_far_number_is_refused(tmp_path: Path) -> None:
    """With the very same records: after the greatest number of all no redact finds one."""
    archive = backup(tmp_path)
    forge(archive, tmp_path, [0, 1, 2, 3], number=MOST_REDACTS + 1)
    assert all("says otherwise" in each for each in commands(tmp_path))


@FORMATS
def test_a_revision_without_its_files_removes_nothing(tmp_path: Path, file_format: str) -> None:
    """Whoever may add one object, a listing, had a prune remove the true files, where nothing was to be pruned."""
    archive = backup(tmp_path, file_format)
    files = by_range(archive)[0]
    forged = [revised(entry, "1-00000000") for entry in files]
    forged = [replace(each, rest=each.rest and replace(each.rest, path=rest_path(each))) for each in forged]
    archive.manifest.replace(files, forged)
    found = problems(tmp_path)
    assert {each["path"] for each in found} == {entry.path for entry in forged}
    assert any("remove its entry" in each["problem"] for each in found)
    assert all("is missing" in said for said in commands(tmp_path))
    assert archive.missing(files) == set()


@FORMATS
def test_what_a_killed_redact_left_goes_with_the_next_one_of_the_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    """Of another device, whose registrations it has: they stayed until the redact after that one."""
    archive = backup(tmp_path, file_format)
    late = ranges_of(tmp_path, [record(5, "stays", version=V + 30, erase=True)], step=1)
    archive.upload(late[0][0])
    archive.manifest.add([late[0][0].entry])
    redact_until_killed(archive, tmp_path, monkeypatch, "replace")
    assert unnamed(archive, tmp_path)
    assert redact(str(tmp_path / "backup"), "stays", settings_of(tmp_path), Unwatched(), dry_run=False)["records"] == 3
    assert (unnamed(archive, tmp_path), offsets(archive, tmp_path)) == (set(), [0, 2, 5])


def test_of_two_revisions_nobody_is_told_to_remove_the_one_that_counts(tmp_path: Path) -> None:
    """Beside the honest one somebody added another: who did as he was told lost the true records."""
    archive = backup(tmp_path)
    files = by_range(archive)[0]
    Redaction(archive, "gone", tmp_path, 300_000).rewrite(files, V + 10)
    honest = by_range(archive)[0]
    forge(archive, tmp_path, [3], number=2)
    later = by_range(archive)[0]
    assert honest != later
    assert all("one of the two is forged, or both" in said for said in commands(tmp_path))


def test_a_listing_that_is_no_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a store any key below its name makes it look like one: the range was hidden, and nothing named it."""
    archive = backup(tmp_path)
    name = "5.7-00000000.json"
    names = Storage.names
    monkeypatch.setattr(Storage, "names", lambda self, at: sorted([*names(self, at), *([name] if at.endswith("/1/3") else [])]))
    for look in (archive.manifest.entries, lambda: archive.manifest.newest(1, 3)):
        with pytest.raises(Damaged, match=r"5\.7-00000000\.json is no file"):
            look()
