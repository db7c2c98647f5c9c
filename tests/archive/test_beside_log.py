"""What is in the archive behind what a backup has claimed is compared with the log, before the backup goes on behind it."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from devicesync.archive.entry import Entry, revised
from devicesync.archive.ranges import ENTRY, listing_path, revised_path
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.adapters import open_log
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.backup.beside_log import BesideLog
from devicesync.jobs.backup.closing import Closing
from devicesync.jobs.backup.comparison import Problem
from devicesync.log.full import Claim
from tests.archive.life import OTHER, Life, made


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
    closed.entry = revised(closed.entry, "1-0000abcd")
    life.archive.upload(closed)
    path = revised_path(listing_path([closed.entry], ENTRY), [closed.entry])
    Storage(life.place).put_bytes(path, sealed([closed.entry]))
    with pytest.raises(Damaged, match=r"1_0_6\.1-0000abcd\.parquet 1 records of the log are missing, the first at offset 5"):
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


@pytest.mark.parametrize(("none_from", "compared"), [(None, 1), (3, 1), (5, 0), (6, 1)])
def test_what_the_group_knows_is_not_read_again(
    life: Life, monkeypatch: pytest.MonkeyPatch, none_from: int | None, compared: int
) -> None:
    """Behind a transaction's marker it has claimed more than the archive has: from where on there was no record it says, too."""
    (newest,) = life.archive.manifest.entries()
    beside = BesideLog(life.archive, None, Path(life.place))  # type: ignore[arg-type]
    looked: list[list[Entry]] = []

    def look(files: list[Entry]) -> list[Problem]:
        looked.append(files)
        return []

    monkeypatch.setattr(beside, "_problems", look)
    beside.check(newest, Claim(newest.identity, 5, None))
    assert looked == []
    beside.check(newest, Claim(newest.identity, 6, None, none_from))
    assert len(looked) == compared


@pytest.fixture
def closing_of(life: Life, tmp_path: Path) -> Iterator[Closing]:
    """The one of a backup whose log has a hole at the beginning of the open range, as markers of transactions make."""
    with closing(open_log(life.settings)) as log:
        beside = BesideLog(life.archive, log, tmp_path)
        done = Closing(None, beside, None, stop=threading.Event(), is_ours=lambda _: True, on_step=lambda _: None)  # type: ignore[arg-type]
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
