"""What is in the archive behind what a backup has claimed is compared with the log, before the backup goes on behind it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from devicesync.archive.entry import Entry, revised
from devicesync.archive.files import ClosedFile
from devicesync.archive.manifest import Manifest
from devicesync.archive.ranges import ENTRY, ERASURES, listing_path, place_of, write_erasures
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.adapters import open_log
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged, Stopped
from devicesync.jobs.backup.beside_log import BesideLog
from devicesync.jobs.backup.closing import Closing
from devicesync.jobs.backup.comparison import Problem
from devicesync.log.full import Claim
from tests.archive.life import OTHER, Life, V, made


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Five records are kept."""
    living = Life(tmp_path)
    living.registers("gone", "a", "b", "c", "d")
    assert living.keeps() == 5
    return living


@pytest.mark.parametrize("end", [6, 9, 1_000_000])
def test_a_range_that_takes_the_place_of_the_log_s_records_is_named(life: Life, end: int) -> None:
    """The log's erase was never kept, and a restore said "equal". Or the log counted as recreated, for its backup's end lay ahead."""
    life.erases("gone")
    life.registers("late")
    forged = life.adds(5, end, OTHER)
    with pytest.raises(Damaged, match=r"1_0_5\.\S+ 1 records differ from the log's|records of the log are missing") as raised:
        life.keeps()
    assert listing_path([forged], ENTRY) in raised.value.hint
    life.removes(forged)
    assert life.keeps() == 2
    assert life.problems() == []


def test_a_revision_takes_the_place_of_nothing(life: Life, tmp_path: Path) -> None:
    """As a redact makes it, but of records that were never kept: what it lacks nobody has taken out."""
    life.erases("gone")
    life.registers("late")
    closed = made(tmp_path, life.rows()[6:], (5, 7), life.archive.manifest.entries()[-1])
    _lists_as_a_revision(life, closed)
    with pytest.raises(Damaged, match=r"1_0_6-5\.1-0000abcd\.parquet 1 records of the log are missing, the first at offset 5"):
        life.keeps()


def test_a_range_within_the_last_one_is_named(life: Life) -> None:
    """The backup went on at its end, and kept the records behind it once more: an overlap of true ranges, which nothing mends."""
    forged = life.adds(2, 4, OTHER)
    with pytest.raises(Damaged, match=r"1_0_2\.\S+ 1 records"):
        life.keeps()
    life.removes(forged)
    life.registers("late")
    assert life.keeps() == 1
    assert life.problems() == []


def test_of_several_ranges_each_is_compared(life: Life) -> None:
    """The last one is as the log has it."""
    life.erases("gone")
    life.registers("late")
    first = life.adds(5, 6, OTHER)
    last = life.lists((6, 7), life.rows()[6:])
    with pytest.raises(Damaged, match=r"1_0_5\."):
        life.keeps()
    life.removes(first)
    life.removes(last)
    assert life.keeps() == 2


def _revises(life: Life, tmp_path: Path, bounds: tuple[int, int]) -> Entry:
    """A stranger adds a range that has no records any more, as a redact leaves one, with both listings; its entry."""
    like = life.archive.manifest.entries()[0]
    was = made(tmp_path, life.rows()[slice(*bounds)], bounds, like).entry
    Storage(life.place).put_bytes(place_of([was], ENTRY), sealed([was]))
    emptied = made(tmp_path, [], bounds, like)
    emptied.entry = msgspec.structs.replace(emptied.entry, path=was.path, first_offset=was.first_offset)
    return _lists_as_a_revision(life, emptied)


def _lists_as_a_revision(life: Life, closed: ClosedFile) -> Entry:
    closed.entry = revised(closed.entry, "1-0000abcd")
    life.archive.upload(closed)
    Storage(life.place).put_bytes(place_of([closed.entry], ENTRY), sealed([closed.entry]))
    return closed.entry


def _covers(life: Life, tmp_path: Path, name: str, version: int) -> None:
    """He adds an erasure, as a prune keeps them."""
    (first, *_) = life.archive.manifest.entries()
    write_erasures(tmp_path / "erasures", [(name, version)], [first])
    Storage(life.place).put(tmp_path / "erasures", listing_path([first], ERASURES))


@pytest.mark.parametrize("changes", [{"identity": ""}, {"generation": 2}])
def test_no_entry_s_word_spares_a_range_the_comparison(life: Life, changes: dict[str, Any]) -> None:
    """That it is of an older archive, or begins before the claim: the last range alone was compared, which was as the log has it."""
    life.erases("gone")
    life.registers("late", "his")
    last = life.archive.manifest.entries()[-1]
    begins = 5
    if "generation" in changes:
        begins = 0
        begun = sealed({"identity": last.identity, "ended": {"0": 5}})
        Storage(life.place).put_bytes(f"_manifest/{last.topic}/generation-2.json", begun)
    life.lists((begins, 7), [(begins, SYSTEM.now_ms(), None, OTHER, None)], **changes)
    life.lists((7, 8), life.rows()[7:], **changes)
    with pytest.raises(Damaged, match=rf"_0_{begins}\.\S+ \d records of the log are missing"):
        life.keeps()


def test_what_the_log_has_between_the_claim_and_the_last_range_is_missed(life: Life) -> None:
    """A prune had removed what the backup refused to go on behind: then it went on, and `verify --deep` found nothing."""
    life.erases("gone")
    life.registers("late", "later")
    forged = life.lists((7, 8), life.rows()[7:])
    with pytest.raises(Damaged, match=r"1_0_7\.\S+ gap: the log has records 5 to 6, and no file has them"):
        life.keeps()
    life.removes(forged)
    assert life.keeps() == 3


def test_a_range_that_overlaps_another_is_named_although_it_is_true(life: Life) -> None:
    """The backup kept a record again, in a range of its own: that overlap stayed when the stranger's range had gone."""
    forged = life.lists((2, 4), life.rows()[2:4])
    with pytest.raises(Damaged, match=r"1_0_2\.\S+ overlap: records 2 to 3 are in \S+1_0_0\.parquet too"):
        life.keeps()
    life.removes(forged)
    life.registers("late")
    assert life.keeps() == 1
    assert life.problems() == []


def _true_revision(life: Life, tmp_path: Path, bounds: tuple[int, int]) -> Entry:
    """A stranger adds what the log has there, as a revision; its entry."""
    like = life.archive.manifest.entries()[0]
    return _lists_as_a_revision(life, made(tmp_path, life.rows()[slice(*bounds)], bounds, like))


def test_a_true_revision_of_a_forged_range_is_no_way_past(life: Life, tmp_path: Path) -> None:
    """The backup went on behind it. Then verify and restore had the revision removed: "the other counts then", and was "equal"."""
    life.erases("gone")
    life.registers("late")
    forged = life.adds(5, 7, OTHER)
    revision = _true_revision(life, tmp_path, (5, 7))
    with pytest.raises(Damaged, match=f"{forged.path} .*records of the log are missing|{forged.path} .*differ") as raised:
        life.keeps()
    assert place_of([forged], ENTRY) in raised.value.hint
    told = {problem["path"]: problem["problem"] for problem in life.problems()}
    assert "one of the two is forged" in told[revision.path]
    assert "the log" in told[forged.path]


@pytest.mark.parametrize("bounds", [(5, 7), (0, 3), (0, 7)])
def test_a_revision_of_no_range_that_was_listed_is_named(life: Life, tmp_path: Path, bounds: tuple[int, int]) -> None:
    """The backup went on at its end. Once it was removed the records up to there were in no file, or in two."""
    life.erases("gone")
    life.registers("late")
    revision = _true_revision(life, tmp_path, bounds)
    life.forgets()
    with pytest.raises(Damaged, match="is a revision of no range that a backup has listed") as raised:
        life.keeps()
    assert place_of([revision], ENTRY) in raised.value.hint
    life.removes(revision)
    assert life.keeps() == 2
    assert life.problems() == []


def test_an_erase_that_no_restore_believes_covers_nothing(life: Life, tmp_path: Path) -> None:
    """One of the year 2200, which a restore leaves out. And the hint names the revision's entry, not the one that it replaces."""
    life.registers("late")
    revision = _revises(life, tmp_path, (5, 6))
    _covers(life, tmp_path, "late", 7_258_118_400_000_000)
    with pytest.raises(Damaged, match="1 records of the log are missing, the first at offset 5") as raised:
        life.keeps()
    assert place_of([revision], ENTRY) in raised.value.hint
    _covers(life, tmp_path, "late", V)
    assert life.keeps() == 0


def test_a_comparison_ends_when_it_is_to_stop(life: Life, tmp_path: Path) -> None:
    """It may be of gigabytes: SIGTERM took 52 s."""
    (newest,) = life.archive.manifest.entries()
    stop = threading.Event()
    stop.set()
    with closing(open_log(life.settings)) as log, pytest.raises(Stopped):
        BesideLog(life.archive, log, tmp_path, stop).check([newest], None, 0)


def test_so_does_the_search_for_what_covers_a_revision(life: Life, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the whole backup: SIGTERM took 10 to 14 s."""
    life.registers("late")
    revision = _revises(life, tmp_path, (5, 6))
    _covers(life, tmp_path, "late", V)
    stop = threading.Event()

    def entries(*_: object) -> list[Entry]:
        stop.set()
        return []

    monkeypatch.setattr(Manifest, "entries", entries)
    with closing(open_log(life.settings)) as log, pytest.raises(Stopped):
        BesideLog(life.archive, log, tmp_path, stop).has([revision])


def test_what_another_group_kept_or_a_lost_claim_stops_nobody(life: Life, tmp_path: Path) -> None:
    """It is as the log has it. So is a range that a redact has rewritten, but for what it took out."""
    life.forgets()
    life.registers("late")
    assert life.keeps() == 1
    life.erases("late")
    assert life.keeps() == 1
    redact(life.place, "late", life.settings, Unwatched(), dry_run=False)
    life.forgets()
    life.registers("later")
    assert life.keeps() == 1
    there, life.place = life.place, str(tmp_path / "other")
    life.registers("last")
    assert life.keeps() == 9
    life.place = there
    assert life.keeps() == 1
    assert life.problems() == []


def test_where_two_logs_share_a_generation_the_backup_goes_on_in_another(life: Life, tmp_path: Path) -> None:
    """They began at once in a store without conditional writes: the last range is of the other one, and nothing is compared."""
    (mine,) = life.archive.manifest.entries()
    closed = made(tmp_path, [(5, SYSTEM.now_ms(), None, OTHER, None)], (5, 6), msgspec.structs.replace(mine, identity="another"))
    life.archive.upload(closed)
    life.archive.manifest.add([closed.entry])
    assert life.keeps() == 5
    assert life.archive.manifest.entries()[-1].generation == 2


@pytest.mark.parametrize(
    ("none_from", "listing", "compared"), [(None, "", 1), (3, "", 1), (5, "", 0), (None, "its", 0), (5, "-", 1)]
)
def test_what_the_group_knows_is_not_read_again(
    life: Life, monkeypatch: pytest.MonkeyPatch, none_from: int | None, listing: str, compared: int
) -> None:
    """Behind a transaction's marker it has claimed more than the archive has. Older releases' claims name no range."""
    (newest,) = life.archive.manifest.entries()
    beside = BesideLog(life.archive, None, Path(life.place), threading.Event())  # type: ignore[arg-type]
    looked: list[list[Entry]] = []

    def look(files: list[Entry]) -> list[Problem]:
        looked.append(files)
        return []

    monkeypatch.setattr(beside, "_problems", look)
    beside.check([newest], Claim(newest.identity, 5, None), 0)
    assert looked == []
    beside.check(
        [newest],
        Claim(newest.identity, 6, None, none_from, life.archive.manifest.named([newest]) if listing == "its" else listing),
        0,
    )
    assert len(looked) == compared


@pytest.fixture
def closing_of(life: Life, tmp_path: Path) -> Iterator[Closing]:
    """The one of a backup whose log has a hole at the beginning of the open range, as markers of transactions make."""
    with closing(open_log(life.settings)) as log:
        beside = BesideLog(life.archive, log, tmp_path, threading.Event())
        done = Closing(None, beside, mock.Mock(), stop=threading.Event(), is_ours=lambda _: True, on_step=lambda _: None)  # type: ignore[arg-type]
        yield done
        done.shutdown()


def test_a_range_that_a_stranger_lists_in_a_hole_does_not_take_the_place_of_ours(
    life: Life, tmp_path: Path, closing_of: Closing
) -> None:
    """The range's first offset had no record. So he had more, and the backup removed the file that it had just kept."""
    life.registers("between")
    life.erases("gone")
    life.adds(5, 7, OTHER)
    ours = made(tmp_path, life.rows()[6:], (5, 7), life.archive.manifest.entries()[0])
    assert closing_of._put([ours])
    assert life.archive.manifest.entries()[-1] == ours.entry


def test_a_stranger_s_range_in_a_hole_is_no_more_than_ours(life: Life, tmp_path: Path, closing_of: Closing) -> None:
    """It ends where the hole does, and the log has nothing there: the backup claimed its own file's end, and removed it."""
    with (tmp_path / "data" / "device-profile.log").open("ab") as journal:
        journal.write(b"\n")
    life.erases("gone")
    first = life.archive.manifest.entries()[0]
    life.adds(5, 6, OTHER)
    ours = made(tmp_path, life.rows()[5:], (5, 7), first)
    assert ours.entry.first_offset == 6
    assert closing_of._put([ours])
    assert life.archive.manifest.entries()[-1] == ours.entry


def test_a_rest_that_the_listing_names_is_not_removed_with_ours(life: Life, tmp_path: Path, closing_of: Closing) -> None:
    """A stranger's listing had all that ours has, in a file of another day: a rest's path has no day, and the rest was ours."""
    with (tmp_path / "data" / "device-profile.log").open("ab") as journal:
        journal.write(b"\n")
    life.erases("gone")
    ours = made(tmp_path, life.rows()[5:], (5, 7), life.archive.manifest.entries()[0], "jsonl")
    (day, name), topic = ours.entry.path.split("/")[1:], life.archive.topic
    his = msgspec.structs.replace(ours.entry, path=f"{topic}/dt=2020-01-01/{name}")
    assert day not in his.path
    Storage(life.place).put(ours.here, his.path)
    first = made(tmp_path, [(5, SYSTEM.now_ms(), None, OTHER, None)], (5, 7), ours.entry, "jsonl")
    life.archive.upload(first)
    life.archive.manifest.add([first.entry, his])
    closing_of._put([ours])
    with life.archive.fetched(his, tmp_path) as batches:
        assert [row for rows in batches for row in rows] == life.rows()[5:]


def test_a_range_is_not_listed_again_without_records_that_the_log_has_lost(
    life: Life, tmp_path: Path, closing_of: Closing
) -> None:
    """Who had read them has listed it. The next owner, who finds the range claimed and has the rest alone, leaves it."""
    (listed,) = life.archive.manifest.entries()
    shorter = made(tmp_path, life.rows()[2:], (0, 5), listed)
    assert not closing_of._put([shorter])
    assert life.archive.manifest.entries() == [listed]
    assert not (Path(life.place) / shorter.entry.path).exists()
    assert life.problems() == []
