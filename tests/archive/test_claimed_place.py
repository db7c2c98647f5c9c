"""A group's claim counts in the archive that has the range which it names. Elsewhere all that the log still has is compared."""

import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devicesync.archive.entry import revised
from devicesync.archive.ranges import ENTRY, by_range, place_of
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.adapters import open_log
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged, Unavailable
from devicesync.jobs.backup import beside_log
from devicesync.jobs.backup.beside_log import BesideLog
from devicesync.jobs.backup.partition_backup import PartitionBackup
from devicesync.log.full import Claim
from tests.archive.life import OTHER, Life, made


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Three records are kept."""
    living = Life(tmp_path)
    living.registers("gone", "a", "b")
    assert living.keeps() == 3
    return living


@pytest.fixture
def other(life: Life, tmp_path: Path) -> str:
    """A second place, to which the same group has backed up, too."""
    first, life.place = life.place, str(tmp_path / "other")
    life.keeps()
    life.place = first
    return str(tmp_path / "other")


def test_a_claim_of_another_place_spares_no_range_the_comparison(life: Life, other: str) -> None:
    """A stranger's range there ended where the group had come here: the erase was never kept there, and a restore said "equal"."""
    life.erases("gone")
    life.registers("late")
    assert life.keeps() == 2
    life.place = other
    forged = life.adds(3, 5, OTHER)
    life.registers("later")
    with pytest.raises(Damaged, match=r"1_0_3\.\S+ 1 records of the log are missing"):
        life.keeps()
    life.removes(forged)
    assert life.keeps() == 3
    assert life.problems() == []


def test_a_new_place_that_a_stranger_has_prepared_is_compared(life: Life, tmp_path: Path) -> None:
    """His range there ends at the claim."""
    (mine,) = life.archive.manifest.entries()
    begun = (Path(life.place) / "_manifest/device-profile.log/generation-1.json").read_bytes()
    life.place = str(tmp_path / "other")
    Storage(life.place).put_bytes("_manifest/device-profile.log/generation-1.json", begun)
    closed = made(tmp_path, [(0, SYSTEM.now_ms(), None, OTHER, None)], (0, 3), mine)
    life.archive.upload(closed)
    life.archive.manifest.add([closed.entry])
    with pytest.raises(Damaged, match=r"1_0_0\.\S+ 2 records of the log are missing"):
        life.keeps()


def test_a_copy_of_the_claimed_range_is_none_elsewhere(life: Life, tmp_path: Path) -> None:
    """Whoever may read it can copy it. What lies before it there, or does not, was believed."""
    life.erases("gone")
    assert life.keeps() == 1
    first, life.place = Path(life.place), str(tmp_path / "other")
    manifest = "_manifest/device-profile.log"
    files = [str(path.relative_to(first)) for path in first.rglob("1_0_3.parquet")]
    for path in (f"{manifest}/generation-1.json", f"{manifest}/1/0/3.json", *files):
        Storage(life.place).put_bytes(path, (first / path).read_bytes())
    with pytest.raises(Damaged, match=r"1_0_3\.\S+ gap: the log has records 0 to 2, and no file has them$"):
        life.keeps()


def test_a_place_has_one_name_behind_all_links(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(life.place)
    life.place = f"{tmp_path}/link/"
    monkeypatch.delattr(BesideLog, "_problems")
    life.registers("late")
    assert life.keeps() == 1


def test_a_range_in_the_place_of_one_that_was_damaged_is_compared(life: Life) -> None:
    """The operator had removed the last file, with its entry."""
    life.erases("gone")
    life.registers("late")
    life.keeps()
    life.removes(life.archive.manifest.entries()[-1])
    life.adds(3, 5, OTHER)
    with pytest.raises(Damaged, match=r"1_0_3\.\S+ 1 records of the log are missing"):
        life.keeps()


def test_without_the_range_that_was_claimed_the_log_has_to_have_kept_everything(life: Life) -> None:
    """The last files are gone, and an older one's end is no claim: what is between is compared, to the log's beginning."""
    life.registers("late")
    life.keeps()
    life.registers("later")
    life.keeps()
    for entry in life.archive.manifest.entries()[1:]:
        life.removes(entry)
    life.lists((4, 5), life.rows()[4:])
    with pytest.raises(Damaged, match=r"1_0_4\.\S+ gap: the log has records 3 to 3, and no file has them$") as raised:
        life.keeps()
    assert "put back what is missing" in raised.value.hint
    assert "remove" not in raised.value.hint


def test_a_longer_revision_of_a_range_that_is_listed_later_is_compared(life: Life, tmp_path: Path) -> None:
    """What is claimed is the first listing. But where the backup goes on, the revision says: its records were never kept."""
    (mine,) = life.archive.manifest.entries()
    closed = made(tmp_path, [(3, SYSTEM.now_ms(), None, OTHER, None)], (3, 6), mine)
    closed.entry = revised(closed.entry, "1-0000abcd")
    life.archive.upload(closed)
    Storage(life.place).put_bytes(place_of([closed.entry], ENTRY), sealed([closed.entry]))
    hidden = Path(life.place) / place_of([closed.entry], ENTRY)
    held = hidden.read_bytes()
    hidden.unlink()
    life.registers("late")
    assert life.keeps() == 1
    hidden.write_bytes(held)
    life.erases("gone")
    life.registers("later")
    with pytest.raises(Damaged, match=r"1_0_3\.1-0000abcd\.parquet"):
        life.keeps()


def test_places_may_take_turns(life: Life, other: str) -> None:
    """Each change costs a comparison of all that the log has; each record is in one file of each place."""
    first = life.place
    for number in range(4):
        life.registers(f"late{number}")
        life.place = other if number % 2 else first
        assert life.keeps() > 0
        assert life.problems() == []


def test_where_the_claim_is_of_this_place_nothing_is_read(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a redact has rewritten the last range, or a process listed it again that was stopped."""
    life.erases("gone")
    life.keeps()
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    last = life.archive.manifest.entries()[-1]
    again = life.archive.manifest.first_listed([last])[0]
    life.archive.manifest.add([msgspec.structs.replace(again, closed_ms=again.closed_ms + 1)])
    monkeypatch.delattr(BesideLog, "_problems")
    life.registers("late")
    assert life.keeps() == 1


def test_what_is_left_of_a_claim_of_an_older_release_counts_as_before(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its journal's position names no range."""
    (position,) = Path(life.place).parent.glob("data/*.reader.backup")
    assert position.read_text() == f"{3:020d} {life.archive.manifest.named(life.archive.manifest.entries())}\n"
    position.write_text(f"{3:020d}\n")
    monkeypatch.delattr(BesideLog, "_problems")
    life.registers("late")
    assert life.keeps() == 1
    assert position.read_text().startswith(f"{4:020d} ")


@pytest.mark.parametrize(("listing", "end"), [("here", 9), ("", 9), ("there", None)])
def test_an_end_is_agreed_on_for_one_place(listing: str, end: int | None) -> None:
    part = PartitionBackup(0, 1, "id", 5, Claim("id", 5, 9, listing=listing), listing="here")
    assert (part.agreed_end, part.claimed) == (end, -1 if end is None else 5)


def test_a_gap_that_a_prune_has_left_is_called_so(life: Life, other: str) -> None:
    """The hint told to remove the range behind it, which had just been found to be true. The way out is a group of its own."""
    life.registers("late")
    life.keeps()
    prune(life.place, life.settings, Unwatched(), before_ms=SYSTEM.now_ms() + 1, dry_run=False)
    assert life.keeps() == 0
    first, life.place = life.place, other
    life.keeps()
    life.place = first
    life.registers("later")
    told = r"1_0_3\.\S+ gap: the log has records 0 to 2, and no file has them any more: by 0\.erasures\.json a prune has removed 1 ranges"
    with pytest.raises(Damaged, match=told) as raised:
        life.keeps()
    assert "a group of its own" in raised.value.hint
    assert "remove" not in raised.value.hint
    life.forgets()  # as a new group: the last range alone is compared
    assert life.keeps() == 1
    assert life.problems() == []


def test_of_two_ranges_that_overlap_the_one_is_named_that_is_not_as_the_log_has_it(life: Life) -> None:
    """The true one was named, and the hint said to remove it."""
    life.registers("late")
    life.erases("gone")
    life.keeps()
    life.adds(2, 4, OTHER)
    (position,) = Path(life.place).parent.glob("data/*.reader.backup")
    position.write_text(f"{3:020d}\n")
    with pytest.raises(Damaged, match=r"1_0_2\.\S+ 1 records") as raised:
        life.keeps()
    assert "/2.json" in raised.value.hint


def test_of_two_true_ranges_that_overlap_both_are_named(life: Life) -> None:
    life.lists((1, 2), life.rows()[1:2])
    with pytest.raises(Damaged, match=r"1_0_1\.\S+ overlap: records 1 to 1 are in \S+1_0_0\.parquet too") as raised:
        life.keeps()
    assert "/0.json" in raised.value.hint
    assert "/1.json" in raised.value.hint


def test_a_long_comparison_serves_the_group_in_between(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where it was, and does not begin again."""
    monkeypatch.setattr(beside_log, "_TURN_SECONDS", 0.0)
    life.registers("late", "later")
    life.keeps(1)
    ranges = by_range(life.archive.manifest.entries())
    assert len(ranges) == 3
    stop = threading.Event()
    with closing(open_log(life.settings)) as log:
        beside = BesideLog(life.archive, log, tmp_path, stop)
        claim = Claim(ranges[0][0].identity, 5, None, listing="none")
        for offset in (4, 3, 0):
            with pytest.raises(Unavailable, match=f"as that has it from {offset} on"):
                beside.check(ranges[-1], claim, 0)
        beside.check(ranges[-1], claim, 0)


def test_what_the_log_has_no_more_is_not_read(life: Life, tmp_path: Path) -> None:
    """A backup may be of years, and the log of a week."""
    life.registers("late", "later")
    life.keeps(1)
    ranges = by_range(life.archive.manifest.entries())
    looked: list[Any] = []
    with closing(open_log(life.settings)) as log:
        beside = BesideLog(life.archive, log, tmp_path, threading.Event())
        beside._problems = lambda files: looked.append(files) or []  # type: ignore[method-assign, func-returns-value]
        beside.check(ranges[-1], Claim(ranges[0][0].identity, 5, None, listing="another"), 4)
    assert looked == [ranges[-1]]


def test_an_overlap_is_seen_whatever_the_first_offset_says_and_both_files_are_named(life: Life, tmp_path: Path) -> None:
    """The true file was named alone, without a word of the other one. Once it was removed, the claim ended at the stranger's range."""
    life.erases("gone")
    life.registers("late")
    life.keeps()
    *_, mine = life.archive.manifest.entries()
    closed = made(tmp_path, [(3, SYSTEM.now_ms() - 86_400_000, None, OTHER, None)], (2, 5), mine)
    life.archive.upload(closed)
    life.archive.manifest.add([closed.entry])
    found = [each for each in life.problems() if "overlap" in each["problem"]]
    assert [each["path"] for each in found] == [closed.entry.path, mine.path]
    assert "records 2 to 2 are in" in found[0]["problem"]
    assert f"are in {closed.entry.path} too: one of the two is not of this backup" in found[1]["problem"]
    life.removes(mine)
    with pytest.raises(Damaged, match="records of the log are missing"):
        life.keeps()
