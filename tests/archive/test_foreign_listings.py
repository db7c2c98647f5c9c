"""A stranger lists a range beside the backup's own, and no command of ours removes or names a true file because of that."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.entry import Entry, revised
from devicesync.archive.ranges import ENTRY, ERASURES, listing_path, place_of, write_erasures
from devicesync.archive.revisions import replaced_in
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.backup.verify import check_overlaps
from tests.archive.life import OTHER, Life, made


@pytest.fixture
def life(tmp_path: Path) -> Life:
    """Two ranges are kept: [0, 2) and [2, 4)."""
    living = Life(tmp_path)
    living.registers("gone", "a")
    assert living.keeps() == 2
    living.registers("b")
    living.erases("gone")
    assert living.keeps() == 2
    return living


def lists(life: Life, *entries: Entry) -> str:
    """A stranger lists them; where."""
    path = place_of([*entries], ENTRY)
    Storage(life.place).put_bytes(path, sealed([*entries]))
    return path


def prunes(life: Life, *, before_ms: int | None = None) -> list[Entry]:
    before_ms = SYSTEM.now_ms() + 1 if before_ms is None else before_ms
    return prune(life.place, life.settings, Unwatched(), before_ms=before_ms, dry_run=False)


def test_a_listing_where_a_prune_was_overlaps_what_is_behind_it(life: Life, tmp_path: Path) -> None:
    """The bounds that the prune had kept were taken for its own. It named the last range's file: the next prune removed that."""
    (first,) = prunes(life)
    (last,) = life.archive.manifest.entries()
    closed = made(tmp_path, life.rows()[2:], (first.from_offset, last.next_offset), last)
    assert closed.entry.first_offset == last.from_offset
    found = [*check_overlaps([first], [closed.entry, last])]
    assert len(found) == 1
    assert "overlap: records 2 to 3" in found[0].problem
    life.archive.upload(closed)
    lists(life, closed.entry)
    with pytest.raises(Damaged, match="overlap: records 2 to 3"):
        prunes(life)
    with pytest.raises(Damaged, match="overlap: records 2 to 3"):
        redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    assert (Path(life.place) / last.path).exists()


def test_long_names_of_many_listings_fill_no_memory(life: Life) -> None:
    """2,000 listings of 16 files took over 1 GiB of `verify` and `prune`: each file's names were kept."""
    like = life.archive.manifest.entries()[0]
    for revision in ("2-00000000", *(f"1-{number:08x}" for number in range(20))):
        name = f"{revision}{'n' * 4000}"
        entries = [revised(msgspec.structs.replace(like, source=name, identity=name[:256], records=1), revision)]
        later = like.path.replace("_0.", "_1-0.")
        entries.append(revised(msgspec.structs.replace(entries[0], first_offset=1, path=later, revision=""), revision))
        lists(life, *entries)
    pairs = replaced_in(Storage(life.place), life.archive.manifest.entries())
    assert len(pairs) == 2 * 20 + 1  # the true listing has another place
    for text in ("source", "identity"):
        assert len({id(getattr(other, text)) for pair in pairs for other in (pair.other, *pair.others)}) == 20 + 1


def test_long_names_of_many_ranges_fill_no_memory(life: Life, tmp_path: Path) -> None:
    """2,000 ranges of 16 files took over 1 GiB of `verify`, `restore` and `prune`. So did what prunes have kept of such."""
    like, name = life.archive.manifest.entries()[0], "n" * 4096
    for offset in range(100, 180, 2):
        place = {"from_offset": offset, "next_offset": offset + 2, "records": 1, "source": name, "identity": name[:256]}
        entries = [
            msgspec.structs.replace(like, **place, first_offset=first, path=like.path.replace("_0.", f"_{spot}."))
            for first, spot in ((offset, offset), (offset + 1, f"{offset + 1}-{offset}"))
        ]
        if offset % 4:
            lists(life, *entries)
            continue
        write_erasures(tmp_path / "erasures", [], entries)
        Storage(life.place).put(tmp_path / "erasures", listing_path(entries, ERASURES))
    for found in (life.archive.manifest.entries(), life.archive.manifest.pruned_entries()):
        named = [entry for entry in found if entry.source == name]
        sources, identities = ({id(getattr(entry, text)) for entry in named} for text in ("source", "identity"))
        assert (len(named), len(sources), len(identities)) == (40, 1, 1)


def told(life: Life) -> set[str]:
    return {each["path"] for each in life.problems()}


@pytest.mark.parametrize("changes", [{}, {"sha256": "0" * 64}, {"records": 1}, {"identity": "another"}])
def test_no_listing_of_another_range_names_a_true_file(life: Life, changes: dict[str, Any]) -> None:
    """`verify` called the true file damaged, and a backup's hint had it removed with the stranger's entry."""
    *_, true = life.archive.manifest.entries()
    listing = lists(life, msgspec.structs.replace(true, from_offset=1, **changes))
    assert told(life) == {listing}
    life.registers("late")
    life.forgets()
    with pytest.raises(Damaged, match=f"{listing} names files that are not its own"):
        life.keeps()
    for command in (prunes, lambda life: redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)):
        with pytest.raises(Damaged, match=f"{listing} names files that are not its own"):
            command(life)
    (Path(life.place) / listing).unlink()
    assert life.keeps() == 1
    assert life.problems() == []


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_no_listing_names_a_later_file_of_a_range(life: Life, tmp_path: Path, file_format: Literal["parquet", "jsonl"]) -> None:
    """Of a range of several days, or one whose first offset has no record. Nor does it name a file's rest."""
    like = life.archive.manifest.entries()[-1]
    life.registers("c", "d")
    life.keeps(file_format=file_format)
    rows, places = life.rows(), []
    (Path(life.place) / "_manifest/device-profile.log/1/0/4.json").unlink()
    for some in (rows[4:5], rows[5:]):
        closed = made(tmp_path, some, (4, 6), like, file_format)
        life.archive.upload(closed)
        places.append(closed.entry)
    lists(life, *places)
    assert life.problems() == []
    later = places[-1]
    assert later.path.rpartition("/")[2].startswith("1_0_5-4.")
    for path in (later.path, later.path.replace("-4.", ".")):
        entry = msgspec.structs.replace(later, from_offset=5, path=path)
        listing = lists(life, entry)
        if later.rest or path == later.path:
            assert told(life) == {listing}
        else:
            assert later.path not in told(life)


def test_what_is_removed_behind_a_redact_is_no_other_range_s(life: Life, tmp_path: Path) -> None:
    """A revision of another range had the true file's stem, so that counted as replaced by it."""
    *_, true = life.archive.manifest.entries()
    other = revised(made(tmp_path, life.rows()[2:], (1, 4), true).entry, "1-deadbeef")
    assert life.archive.superseded([], [other]) == []
    life.archive.remove_leftovers([other], [])
    assert (Path(life.place) / true.path).exists()


def test_files_of_two_ranges_with_one_first_offset_are_fetched_side_by_side(life: Life, tmp_path: Path) -> None:
    """From a store. They had one local name: `verify` failed there, or called the true one damaged."""
    *_, true = life.archive.manifest.entries()
    archive = Archive(Storage("memory://two-ranges"), true.topic)
    closed = [made(tmp_path, life.rows()[2:end], bounds, true) for bounds, end in (((2, 4), 4), ((1, 4), 3))]
    for file in closed:
        archive.upload(file)
    (tmp_path / "spool").mkdir()
    with ExitStack() as fetching:
        both = [fetching.enter_context(archive.fetched(file.entry, tmp_path / "spool")) for file in closed]
        assert [sum(map(len, batches)) for batches in both] == [2, 1]


def revises(life: Life, tmp_path: Path, true: Entry, revision: str, *offsets: int) -> Entry:
    """A stranger adds a revision's file with these records; its entry."""
    plain = msgspec.structs.replace(true, revision="", rest=None)
    bounds = true.from_offset, true.next_offset
    closed = made(tmp_path, [row for row in life.rows() if row[0] in offsets], bounds, plain)
    closed.entry = msgspec.structs.replace(revised(closed.entry, revision), closed_ms=true.closed_ms, follows=true.follows)
    life.archive.upload(closed)
    return closed.entry


def redacts(life: Life) -> Entry:
    """The first range's entry after a redact, whose erase is in the second one."""
    redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)
    assert life.problems() == []
    return life.archive.manifest.entries()[0]


@pytest.mark.parametrize("where", ["another day", "one of two"])
def test_a_redact_s_revision_is_not_named_where_its_erase_is_in_a_listing_with_other_places(
    life: Life, tmp_path: Path, where: str
) -> None:
    """That listing is the true one, and what counts in its place is forged: its erases were not read, and it was not compared."""
    *_, last = life.archive.manifest.entries()
    if where == "one of two":
        (Path(life.place) / place_of([last], ENTRY)).unlink()
        (Path(life.place) / last.path).unlink()
        closed = [made(tmp_path, rows, (2, 4), last) for rows in (life.rows()[2:3], life.rows()[3:])]
        for file in closed:
            life.archive.upload(file)
        lists(life, *(file.entry for file in closed))
    redacts(life)
    forged = revises(life, tmp_path, last, "2-deadbeef", 2)
    if where == "another day":
        there = forged.path
        day = there.split("/")[1]
        forged = msgspec.structs.replace(forged, path=there.replace(day, "dt=2020-01-01"))
        Storage(life.place).put(Path(life.place) / there, forged.path)
        (Path(life.place) / there).unlink()
    lists(life, forged)
    assert told(life) == {forged.path}
    assert any("1 records of the log are missing, the first at offset 3" in each["problem"] for each in life.problems())


def test_of_what_may_be_the_only_copy_a_hint_says_to_copy_it_first(life: Life, tmp_path: Path) -> None:
    """A true revision of a forged listing whose file came after the backup had gone on. The forged one was removed, as told."""
    *_, last = life.archive.manifest.entries()
    life.registers("c")
    closed = made(tmp_path, [(4, life.rows()[4][1], None, OTHER, None)], (4, 5), last)
    forged = closed.entry
    lists(life, forged)
    true = revises(life, tmp_path, made(tmp_path, life.rows()[4:], (4, 5), last).entry, "1-deadbeef", 4)
    listing = lists(life, true)
    life.registers("d")
    assert life.keeps() == 1
    life.archive.upload(closed)
    assert forged.path in told(life)
    life.removes(forged)
    assert told(life) == set()
    life.place = str(Path(life.place).rename(tmp_path / "elsewhere"))
    life.registers("e")
    with pytest.raises(Damaged, match="is a revision of no range that a backup has listed") as raised:
        life.keeps()
    assert listing in raised.value.hint
    assert "copy it first" in raised.value.hint


@pytest.mark.parametrize("changes", [{"next_offset": 1}, {"day": "dt=2020-01-01"}, {"source": "another"}])
@pytest.mark.parametrize("name", ["1-00000000", "2-deadbeef"])
def test_of_two_revisions_that_do_not_fit_the_one_that_fits_the_first_listing_is_not_named(
    life: Life, tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    """Whichever of the two counts. `verify --deep` named the redact's alone, as perhaps forged."""
    true = redacts(life)
    like = msgspec.structs.replace(true, **changes) if "day" not in changes else true
    forged = revises(life, tmp_path, like, name, *([0] if "next_offset" in changes else [1]))
    if "day" in changes:
        there = forged.path
        forged = msgspec.structs.replace(forged, path=there.replace(there.split("/")[1], changes["day"]))
        Storage(life.place).put(Path(life.place) / there, forged.path)
    lists(life, forged)
    assert forged.path in told(life)
    assert true.path not in told(life)
    with pytest.raises(Damaged, match=f"{forged.path} its entry says otherwise than that of {true.path}"):
        redact(life.place, "gone", life.settings, Unwatched(), dry_run=False)


@pytest.mark.parametrize("command", [lambda life: prunes(life, before_ms=0), redacts], ids=["prune", "redact"])
def test_a_listing_that_can_t_be_read_is_named_beside_erasures_too(
    life: Life, tmp_path: Path, command: Callable[[Life], Any]
) -> None:
    """As of an earlier commit's range of several days: it counted as pruned, and its first file was removed."""
    first, _ = life.archive.manifest.entries()
    path = place_of([first], ENTRY)
    later = first.path.replace("_0.", "_1.")
    damaged = [first, msgspec.structs.replace(first, first_offset=1, records=1, path=later)]
    Storage(life.place).put_bytes(path, sealed(damaged))
    write_erasures(tmp_path / "erasures", [], [first])
    Storage(life.place).put(tmp_path / "erasures", listing_path([first], ERASURES))
    assert path in told(life)
    with pytest.raises(Damaged, match=f"{path} names files that are not its own"):
        command(life)
    assert (Path(life.place) / first.path).exists()
