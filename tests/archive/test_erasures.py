"""The erasures of pruned ranges: read whole, believed only in their form, and never all in memory."""

import tempfile
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicesync.archive import ranges as written_ranges
from devicesync.archive.archive import Archive
from devicesync.archive.entry import revised
from devicesync.archive.ranges import ENTRY_BYTES, ERASURES, listing_path, write_erasures
from devicesync.archive.storage import Storage
from devicesync.assembly.backup.prune import prune as prune_all
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable, WrongUse
from devicesync.jobs.backup import prune
from devicesync.jobs.erase import erase_line
from devicesync.jobs.restore.complete import files_to_restore
from devicesync.jobs.restore.erasures import erasure_rows
from devicesync.jobs.restore.selection import Selection
from devicesync.jobs.shared.backed_up import erase_rows_in
from devicesync.jobs.shared.pruned import pruned_erasures
from devicesync.law.state import State
from tests.archive.test_days import DAY_MS, MIDNIGHT_MS, kept, ranges_of
from tests.archive.test_files import stored

if TYPE_CHECKING:
    from devicesync.log.full import FullRecord

MANY = 50_000
IN_2023_US = 1_700_000_000_000_000
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def pruned(place: Path, erased: dict[str, int], *, ranges: int = 1) -> Archive:
    """An archive whose ranges are all pruned, with the same erasures."""
    for number in range(ranges):
        rows: list[FullRecord] = [(number, 5, b"k", b"v", None)]
        archive, closed = stored(place, rows, "parquet")
        archive.manifest.prune([closed.entry], erased.items(), place)
    return archive


def test_one_file_at_a_time_is_in_memory_and_of_it_some_erasures(tmp_path: Path) -> None:
    """Whoever writes to the bucket can put many, each of many MiB."""
    archive = pruned(tmp_path, {f"{number:x}": IN_2023_US for number in range(MANY)}, ranges=4)
    file_bytes = max(there.stat().st_size for there in (tmp_path / "backup").rglob("*.erasures.json"))
    tracemalloc.start()
    try:
        devices = sum(map(len, pruned_erasures(archive, 0)))
        assert len(archive.manifest.pruned_entries()) == 4
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert devices == 4 * MANY
    assert peak < 3 * file_bytes + (6 << 20)


def test_a_restore_knows_how_many_there_are_before_it_has_them(tmp_path: Path) -> None:
    """By their number it divides the devices."""
    archive = pruned(tmp_path, {"a": 1, "b": 2, "c": 3}, ranges=2)
    assert files_to_restore(archive, 0, allow_gaps=True).erasures == 6


def test_what_prunes_left_is_looked_for_in_as_many_listings_however_many_ranges_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4,000 ranges in one partition it took 68 s, and nothing was to be done. Nor does a prune of many list for each."""
    listed: list[str] = []
    names = Storage.names

    def counted(storage: Storage, directory: str) -> list[str]:
        listed.append(directory)
        return names(storage, directory)

    monkeypatch.setattr(Storage, "names", counted)
    place = tmp_path / "backup" / "_manifest" / "topic" / "1" / "3"
    counts = []
    for first in (0, 1):
        for number in range(first, 1 + 20 * first):
            archive, closed = stored(tmp_path, [(number, 5, b"k", b"v", None)], "parquet")
            listed.clear()
            archive.manifest.prune([closed.entry], (), tmp_path)
            assert listed == []
            archive.manifest.add([closed.entry])
            archive.manifest.replace([closed.entry], [revised(closed.entry, "1-5f3a9c20")])
        archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries())
        counts.append(len(listed))
        assert {path.name for path in place.iterdir()} == {f"{number}.erasures.json" for number in range(1 + 20 * first)}
    assert counts[0] == counts[1]


@given(st.dictionaries(_texts, st.integers(0, 1 << 62), max_size=5))
def test_what_is_kept_is_read(erased: dict[str, int]) -> None:
    """Whatever the ids are."""
    with tempfile.TemporaryDirectory() as there:
        assert [dict(kept.erased()) for kept in pruned(Path(there), erased).manifest.pruned()] == [erased]


@pytest.mark.parametrize(
    "erased",
    [
        *(b"null", b"[]", b"7", b'"a"', b'[{"a":1}]', b'{"a"}', b"{1:1}"),
        *(b'{"a":%s}' % version for version in (b"null", b'"1"', b"1.5", b"[1]", b'{"b":1}', b"9" * 30)),
        *(b'{"b":1,"a":null,"c":1}', b'{"b":1,"a":null}', b'{"\xff":1}', b'{"\\ud800":1}'),
    ],
)
def test_erasures_of_another_form_are_named(tmp_path: Path, erased: bytes) -> None:
    """Versions of devices, and nothing else."""
    archive = pruned(tmp_path, {"x": 1})
    (there,) = (tmp_path / "backup").rglob("*.erasures.json")
    there.write_bytes(there.read_bytes().replace(b'{"x":1}', erased))
    found: list[Damaged] = []
    assert archive.manifest.pruned_entries(found) == []
    assert [damage.path for damage in found] == ["_manifest/topic/1/3/0.erasures.json"]


def test_a_flipped_bit_is_named(tmp_path: Path) -> None:
    """Wherever it is: in an id it brought an erased device back."""
    archive = pruned(tmp_path, {"X": IN_2023_US, "Z": 7})
    (there,) = (tmp_path / "backup").rglob("*.erasures.json")
    held = there.read_bytes()
    for at in range(len(held)):
        there.write_bytes(held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])
        found: list[Damaged] = []
        read = [dict(kept.erased()) for kept in archive.manifest.pruned(found)]
        assert (read, len(found)) == ([], 1), held[at:]


def test_the_entries_beside_erasures_are_as_short_as_others(tmp_path: Path) -> None:
    """They are all in memory together."""
    archive = pruned(tmp_path, {})
    (there,) = (tmp_path / "backup").rglob("*.erasures.json")
    kept = msgspec.json.decode(there.read_bytes())
    kept["entries"][0]["source"] = "x" * ENTRY_BYTES
    there.write_bytes(msgspec.json.encode(kept))
    with pytest.raises(Damaged, match="has entries of more than"):
        archive.manifest.pruned_entries()


def test_a_range_with_more_erasures_than_are_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its prune would make the backup unreadable."""
    archive, closed = stored(tmp_path, [(0, 5, b"k", b"v", None)], "parquet")
    monkeypatch.setattr(written_ranges, "ERASURES_BYTES", 1000)
    with pytest.raises(WrongUse, match="could not be read again"):
        archive.manifest.prune([closed.entry], ((str(number), 1) for number in range(1000)), tmp_path)
    assert archive.manifest.entries() == [closed.entry]
    assert archive.manifest.pruned_entries() == []


def test_of_a_range_with_more_erasures_than_are_kept_no_more_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some MB of forged Parquet can have millions."""
    erases: list[FullRecord] = [
        (number, IN_2023_US // 1000, None, b'{"device_id":"%d","erase":true,"version":%d}' % (number, IN_2023_US), None)
        for number in range(30_000)
    ]
    archive, closed = stored(tmp_path, erases, "parquet")
    read: list[int] = []

    def counted(rows: Any, *given: Any) -> Any:
        read.append(len(rows))
        return erase_rows_in(rows, *given)

    monkeypatch.setattr(prune, "erase_rows_in", counted)
    for module in (written_ranges, prune):
        monkeypatch.setattr(module, "ERASURES_BYTES", 1000)
    with pytest.raises(WrongUse, match="could not be read again"):
        prune.prune_range(archive, [closed.entry], tmp_path, 300_000)
    assert read == [10_000]


def erases(count: int, version: int = IN_2023_US) -> "list[FullRecord]":
    """As many devices' records."""
    return [(number, IN_2023_US // 1000, None, erase_line(f"d{number}", version), None) for number in range(count)]


def test_a_range_with_many_erases_is_pruned_in_little_memory(tmp_path: Path) -> None:
    """4 MB of Parquet with 5,500,000 took 975 MiB."""
    peaks = []
    for count in (20_000, 120_000):
        (place := tmp_path / str(count)).mkdir()
        archive, closed = stored(place, erases(count), "parquet")
        tracemalloc.start()
        try:
            prune.prune_range(archive, [closed.entry], tmp_path, 300_000)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert sum(map(len, pruned_erasures(archive, 0))) == count
    assert peaks[1] < peaks[0] + (3 << 20)


def test_of_each_device_the_highest_erase_is_kept(tmp_path: Path) -> None:
    """Whatever their order; nothing stays in the spool."""
    rows = [(at, *row[1:]) for at, row in enumerate([*erases(3), *erases(2, IN_2023_US + 2), *erases(4, IN_2023_US + 1)])]
    archive, closed = stored(tmp_path, rows, "parquet")
    (spool := tmp_path / "spool").mkdir()
    prune.prune_range(archive, [closed.entry], spool, 300_000)
    kept_of = {device_id: version - IN_2023_US for device_id, version in next(archive.manifest.pruned()).erased()}
    assert kept_of == {"d0": 2, "d1": 2, "d2": 1, "d3": 1}
    assert [*spool.iterdir()] == []


def test_erasures_that_an_earlier_prune_kept_stay(tmp_path: Path) -> None:
    """Who may only add objects brought a pruned range back without its erases: the next prune wrote its erasures anew, with none."""
    archive, closed = stored(tmp_path, [(at, *row[1:]) for at, row in enumerate(erases(3))], "parquet")
    prune.prune_range(archive, [closed.entry], tmp_path, 300_000)
    before = dict(next(archive.manifest.pruned()).erased())
    later = [(at, *row[1:]) for at, row in enumerate([*erases(1, IN_2023_US + 5), (0, 5, b"k", b"v", None)])]
    archive, closed = stored(tmp_path, later, "jsonl")
    prune.prune_range(archive, [closed.entry], tmp_path, 300_000)
    assert dict(next(archive.manifest.pruned()).erased()) == before | {"d0": IN_2023_US + 5}


def test_an_erasure_of_the_future_takes_no_true_one_s_place(tmp_path: Path) -> None:
    """A stranger lists one of each device beside a range. The prune kept the highest alone, which no restore believes."""
    archive, closed = stored(tmp_path, erases(2), "parquet")
    in_2200_us = 7_258_118_400_000_000
    write_erasures(tmp_path / "erasures", [("d0", in_2200_us), ("d1", IN_2023_US + 5), ("other", in_2200_us)], [closed.entry])
    Storage(str(tmp_path / "backup")).put(tmp_path / "erasures", listing_path([closed.entry], ERASURES))
    prune.prune_range(archive, [closed.entry], tmp_path, 300_000)
    assert dict(next(archive.manifest.pruned()).erased()) == {"d0": IN_2023_US, "d1": IN_2023_US + 5, "other": in_2200_us}


def test_a_file_whose_records_are_younger_than_its_entry_says_stays(tmp_path: Path) -> None:
    """It is named. A prune reads entries, and then removed whatever these called old."""
    archive, closed = stored(tmp_path, erases(3), "parquet")
    forged = msgspec.structs.replace(closed.entry, first_ms=1, last_ms=1)
    with pytest.raises(Damaged, match=r"1_3_0\.parquet has records of other times"):
        prune.prune_range(archive, [forged], tmp_path, 300_000)
    assert archive.manifest.entries() == [closed.entry]
    assert (tmp_path / "backup" / closed.entry.path).exists()


def test_refused_erases_that_a_prune_does_not_keep_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They went without a word. Whose clock was wrong, or whose setting is another now, can erase the devices anew.

    Those of up to an hour were kept, and a restore took them, which refuses them while their range is there.
    """
    in_time = [row for files in (erases(2), erases(3, IN_2023_US + 300_000_001)) for row in files]
    archive = kept(tmp_path, ranges_of(tmp_path, [(at, *row[1:]) for at, row in enumerate(in_time)], step=9))
    kept(tmp_path, ranges_of(tmp_path, [(5, IN_2023_US // 1000, b"k", b"v", None)], step=1))
    (entry, _) = archive.manifest.entries()
    said: list[str] = []
    watcher, settings = Unwatched(), Settings(data_dir=str(tmp_path / "data"), log=f"journal:{tmp_path}/data/topic")
    monkeypatch.setattr(watcher, "say", said.append)
    assert prune_all(str(tmp_path / "backup"), settings, watcher, before_ms=SYSTEM.now_ms(), dry_run=False) == [entry]
    (told,) = said
    assert told.startswith(f"3 erases, the first at offset 2 of {entry.path}, had versions of later than they were logged")
    assert [name for name, _ in next(archive.manifest.pruned()).erased()] == ["d0", "d1"]


def test_an_erase_that_is_refused_for_now_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that is two days behind it was "refused", and went; the erased device came back."""
    archive, closed = stored(tmp_path, erases(3), "parquet")
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: IN_2023_US // 1000 - 2 * DAY_MS, raising=False)
    assert prune.prune_range(archive, [closed.entry], tmp_path, 300_000).erases == 0
    assert [*pruned_erasures(archive, 300_000)] == [{}]
    monkeypatch.undo()
    assert [len(erased) for erased in pruned_erasures(archive, 300_000)] == [3]


@pytest.mark.parametrize("version", [1 << 63, -(1 << 63)])
def test_erasures_of_more_than_63_bits_are_named(tmp_path: Path, version: int) -> None:
    """A prune that added to them ended with OverflowError."""
    archive, closed = stored(tmp_path, erases(1), "parquet")
    write_erasures(tmp_path / "erasures", [("a", version)], [closed.entry])
    Storage(str(tmp_path / "backup")).put(tmp_path / "erasures", path := listing_path([closed.entry], ERASURES))
    with pytest.raises(Damaged, match=f"{path} can't be read"):
        prune.prune_range(archive, [closed.entry], tmp_path, 300_000)


def test_without_a_spool_nothing_is_pruned(tmp_path: Path) -> None:
    """It is named, as it is by a backup."""
    archive, closed = stored(tmp_path, erases(3), "parquet")
    with pytest.raises(Unavailable, match="was removed"):
        prune.prune_range(archive, [closed.entry], tmp_path / "spool", 300_000)
    assert archive.manifest.entries() == [closed.entry]


def test_an_erasure_is_guarded_by_now_whatever_the_entries_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries that said 1970 hid all erasures of a pruned range: erased devices came back."""
    rows: list[FullRecord] = [(0, MIDNIGHT_MS, b"k", b"v", None), (1, MIDNIGHT_MS + DAY_MS, b"k", b"v", None)]
    (files,) = ranges_of(tmp_path, rows, step=2)
    entries = [msgspec.structs.replace(file.entry, closed_ms=1, first_ms=1, last_ms=1) for file in files]
    archive = kept(tmp_path, [])
    now_ms = MIDNIGHT_MS + 9 * DAY_MS
    monkeypatch.setattr(SYSTEM, "now_ms", lambda: now_ms, raising=False)
    in_time, too_late = now_ms * 1000, now_ms * 1000 + 1
    archive.manifest.prune(entries, {"in time": in_time, "too late": too_late}.items(), tmp_path)
    assert list(pruned_erasures(archive, 0)) == [{"in time": State(erased=in_time)}]
    (pruned,) = archive.manifest.pruned()
    assert [row[1:3] for rows in erasure_rows(pruned, Selection(), 0) for row in rows] == [(now_ms, b"in time")]
    assert [row[1] for rows in erasure_rows(pruned, Selection(), 1) for row in rows] == [now_ms + 1] * 2
