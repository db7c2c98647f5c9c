"""A stranger lists what the log has, but in a way that no restore takes, or that leaves a range in no listing of a backup.

The backup goes on only behind what a restore takes. Where a range's listings differ, `verify --deep` compares all with the log.
"""

from pathlib import Path
from unittest import mock

import msgspec
import pytest

from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, ERASURES, listing_path, place_of, write_erasures
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.errors import Damaged
from devicesync.jobs.backup import replaced
from devicesync.jobs.backup.comparison import Comparison
from devicesync.jobs.backup.redact import _revised
from tests.archive.life import Life, made

NEXT = (5, 7)
"""What the log has behind the backup."""


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Five records are kept, and two are not: an erase, and a registration."""
    living = Life(tmp_path)
    living.registers("gone", "a", "b", "c", "d")
    assert living.keeps() == 5
    living.erases("gone")
    living.registers("late")
    return living


def of_log(life: Life, directory: Path, bounds: tuple[int, int], *offsets: int) -> Entry:
    """A file with these records of the log is there, in a range of these bounds; its entry."""
    like = msgspec.structs.replace(life.archive.manifest.entries()[0], revision="", rest=None)
    closed = made(directory, [row for row in life.rows() if row[0] in offsets], bounds, like)
    life.archive.upload(closed)
    return closed.entry


def revises(life: Life, directory: Path, entry: Entry, revision: str, *offsets: int) -> Entry:
    """The same of a revision."""
    like = msgspec.structs.replace(entry, revision="", rest=None)
    closed = made(directory, [row for row in life.rows() if row[0] in offsets], (entry.from_offset, entry.next_offset), like)
    closed.entry = _revised(entry, revision, closed.entry)
    life.archive.upload(closed)
    return closed.entry


def lists(life: Life, *entries: Entry) -> str:
    """List them; where."""
    path = place_of([*entries], ENTRY)
    Storage(life.place).put_bytes(path, sealed([*entries]))
    return path


def seems_pruned(life: Life, directory: Path, entry: Entry) -> None:
    """Add erasures of its range, none."""
    write_erasures(directory / "erasures", [], [entry])
    Storage(life.place).put(directory / "erasures", listing_path([entry], ERASURES))


def goes_on_once_removed(life: Life, *paths: str) -> None:
    """The operator removes the stranger's entries, and then his files."""
    for path in paths:
        (Path(life.place) / path).unlink(missing_ok=True)
    assert life.keeps() == 2
    assert life.problems() == []


def test_a_revision_alone_is_no_way_past_where_its_range_seems_pruned(life: Life, tmp_path: Path) -> None:
    """By erasures, beside a true revision. A redact then removed its files, and listed nothing: its records were in no file."""
    plain = of_log(life, tmp_path, NEXT, 5, 6)
    (Path(life.place) / plain.path).unlink()
    seems_pruned(life, tmp_path, plain)
    revision = revises(life, tmp_path, plain, "1-deadbeef", 5, 6)
    listing = lists(life, revision)
    with pytest.raises(Damaged, match="is a revision of no range that a backup has listed") as raised:
        life.keeps()
    assert listing in raised.value.hint
    goes_on_once_removed(life, listing, revision.path, listing_path([plain], ERASURES))


def test_a_redact_lists_its_files_wherever_the_old_ones_are_listed(life: Life, tmp_path: Path) -> None:
    """A killed prune leaves a revision without the first listing, too: the redact removed its files, and listed nothing."""
    assert life.keeps() == 2
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    first, last = life.archive.manifest.entries()
    (Path(life.place) / listing_path([first], ENTRY)).unlink()
    seems_pruned(life, tmp_path, first)
    life.logs(b'{"device_id":"a","version":%d,"erase":true}' % 1_700_000_000_000_000)
    assert life.keeps() == 1
    redact(life.place, "a", life.settings, Unwatched(), dry_run=False)
    ranges = [(entry.from_offset, entry.records) for entry in life.archive.manifest.entries()]
    assert ranges == [(0, 3), (last.from_offset, 2), (7, 1)]


def test_a_true_revision_of_a_listing_with_other_files_is_no_way_past(life: Life, tmp_path: Path) -> None:
    """The listing's files were not there. So it was compared with nothing, and then all other commands named the revision."""
    forged = of_log(life, tmp_path, NEXT, 6)
    (Path(life.place) / forged.path).unlink()
    plain = of_log(life, tmp_path, NEXT, 5, 6)
    (Path(life.place) / plain.path).unlink()
    revision = revises(life, tmp_path, plain, "1-deadbeef", 5, 6)
    listings = lists(life, forged), lists(life, revision)
    with pytest.raises(Damaged, match="is a revision of no range that a backup has listed"):
        life.keeps()
    goes_on_once_removed(life, *listings, revision.path)


@pytest.mark.parametrize("other", ["revision", "identity", "source"])
def test_a_listing_of_which_a_part_is_another_log_s_or_a_revision_is_damaged(life: Life, tmp_path: Path, other: str) -> None:
    """Its first file alone was looked at. The backup went on behind it, and a restore refused it."""
    first, last = of_log(life, tmp_path, NEXT, 5), of_log(life, tmp_path, NEXT, 6)
    revision = revises(life, tmp_path, last, "1-deadbeef", 6)
    listing = lists(life, first, revision if other == "revision" else msgspec.structs.replace(last, **{other: "another"}))
    with pytest.raises(Damaged, match=f"{listing} is of several ranges, logs or revisions"):
        life.keeps()
    goes_on_once_removed(life, listing, first.path, last.path, revision.path)


def test_a_range_of_another_log_before_the_last_one_is_named(life: Life, tmp_path: Path) -> None:
    """Where the last one is of our log no new generation begins: the backup went on."""
    first = msgspec.structs.replace(of_log(life, tmp_path, (5, 6), 5), identity="another")
    last = of_log(life, tmp_path, (6, 7), 6)
    listings = lists(life, first), lists(life, last)
    with pytest.raises(Damaged, match=r"1_0_5\.\S+ is of another log than generation 1") as raised:
        life.keeps()
    assert listings[0] in raised.value.hint
    goes_on_once_removed(life, *listings, first.path, last.path)


def test_of_two_revisions_both_are_compared_with_the_log(life: Life, tmp_path: Path) -> None:
    """`verify --deep` named the redact's alone: who removed that lost an erase, and the restore was equal."""
    assert life.keeps() == 2
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    true = life.archive.manifest.entries()[0]
    forged = revises(life, tmp_path, true, "1-00000000", 1, 2, 4)
    lists(life, forged)
    assert true in life.archive.manifest.entries()
    told = {problem["path"]: problem["problem"] for problem in life.problems()}
    assert "one of the two is forged" in told[true.path]
    assert "1 records of the log are missing, the first at offset 3" in told[forged.path]


def two_files(life: Life, tmp_path: Path) -> tuple[Entry, Entry]:
    """The first range is of two files, and the log's other records are in the next."""
    assert life.keeps() == 2
    files = of_log(life, tmp_path, (0, 5), 0, 1), of_log(life, tmp_path, (0, 5), 2, 3, 4)
    first, last = (msgspec.structs.replace(entry, follows=False) for entry in files)
    lists(life, first, last)
    assert life.problems() == []
    return first, last


def test_what_a_killed_redact_left_of_a_listing_is_not_named(life: Life, tmp_path: Path) -> None:
    """It was killed between two files that it removed: what the first one had counted as missing in the one that was left."""
    first, last = two_files(life, tmp_path)
    held = (Path(life.place) / last.path).read_bytes()
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    (Path(life.place) / last.path).write_bytes(held)
    assert [problem["path"] for problem in life.problems()] == [last.path]  # on its way
    forged = revises(life, tmp_path, first, "2-deadbeef", 1), revises(life, tmp_path, last, "2-deadbeef", 3, 4)
    lists(life, *forged)
    told = life.problems()
    assert {problem["path"] for problem in told} == {entry.path for entry in forged}
    assert any("1 records of the log are missing, the first at offset 2" in problem["problem"] for problem in told)


@pytest.mark.parametrize("name", ["1-00000000", "1-ffffffff"])
def test_a_listing_with_files_of_another_one_is_damaged(life: Life, tmp_path: Path, name: str) -> None:
    """It had the true files named: as damaged, as on their way, or to be removed with it. No honest listing shares a file."""
    two_files(life, tmp_path)
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    first, last = life.archive.manifest.entries()[:2]
    forged = revises(life, tmp_path, first, name)
    listing = lists(life, forged, msgspec.structs.replace(last, sha256="0" * 64))
    told = {problem["path"]: problem["problem"] for problem in life.problems()}
    assert listing in told if name == "1-ffffffff" else told.keys() <= {listing, forged.path}
    assert not any("remove" in problem for path, problem in told.items() if path not in forged.paths)
    (Path(life.place) / listing).unlink()
    (Path(life.place) / forged.path).unlink()
    assert life.problems() == []


@pytest.mark.parametrize("names", [("1-ffffffff", "1-ffffffff"), ("1-eeeeeeee", "1-ffffffff")])
def test_a_redact_of_a_listing_in_another_order_removes_nothing_that_is_listed(
    life: Life, tmp_path: Path, names: tuple[str, str]
) -> None:
    """Copies of the true files. The listing was looked for by its least file, so nothing was listed, and all was removed."""
    first, last = two_files(life, tmp_path)
    copies = revises(life, tmp_path, first, names[0], 0, 1), revises(life, tmp_path, last, names[1], 2, 3, 4)
    listing = lists(life, *reversed(copies))
    if len({*names}) > 1:
        with pytest.raises(Damaged, match=listing):
            redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
        (Path(life.place) / listing).unlink()
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    assert sum(entry.records for entry in life.archive.manifest.entries()) == 6
    assert {problem["path"] for problem in life.problems()} <= {path for copy in copies for path in copy.paths}


@pytest.mark.parametrize("place", [0, 1])
def test_a_redact_s_revision_is_not_named_where_a_forged_one_lacks_the_erase(life: Life, tmp_path: Path, place: int) -> None:
    """The erases of forged revisions alone were read: the redact's seemed to lack records that no erase covers.

    place: of the range with the erase: the next one, of which the forged revision is, or the redact's own, too.
    """
    if place == 0:
        life.erases("a")
        life.registers("more")
    life.keeps()
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    first, last = life.archive.manifest.entries()
    forged = revises(life, tmp_path, last, "2-deadbeef", 6)
    lists(life, forged)
    told = life.problems()
    assert any(problem["path"] == forged.path for problem in told)
    assert not any(problem["path"] == first.path for problem in told)
    assert not any("no erase in the backup covers" in problem["problem"] for problem in told if problem["path"] == last.path)


def test_a_range_that_a_stopped_process_lists_late_is_redacted_again(life: Life) -> None:
    """It had closed its file at another time: nobody had forged anything, and restore and redact refused for good."""
    assert life.keeps() == 2
    late = life.archive.manifest.entries()[0]
    held = (Path(life.place) / late.path).read_bytes()
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    (Path(life.place) / late.path).write_bytes(held)
    lists(life, msgspec.structs.replace(late, closed_ms=late.closed_ms + 70_000))
    assert {problem["path"] for problem in life.problems()} == {late.path}  # on its way
    redact(life.place, "a", life.settings, Unwatched(), dry_run=False)
    assert life.problems() == []


def test_a_restore_s_comparison_ends_at_the_first_doubt(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty forged listings beside a range of 100,000 records were all compared first, in 14 s."""
    assert life.keeps() == 2
    plain = life.archive.manifest.entries()[0]
    for number in range(1, 6):
        lists(life, revises(life, tmp_path, plain, f"{number}-deadbeef", number - 1))
    compared = mock.Mock(wraps=Comparison)
    monkeypatch.setattr(replaced, "Comparison", compared)
    with pytest.raises(Damaged, match="records are not in"):
        replaced.refuse_doubts(life.archive, life.archive.manifest.entries(), [], tmp_path)
    assert compared.call_count == 1
