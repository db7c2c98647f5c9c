"""A generation's file says how far the one before had come, so that the lost end of an older generation is noticed."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.generation import End
from devicesync.archive.storage import Storage
from devicesync.errors import Damaged
from devicesync.jobs.backup.verify import check_ends
from tests.archive.test_files import stored

if TYPE_CHECKING:
    from devicesync.archive.files import ClosedFile
    from devicesync.log.full import FullRecord

SECOND = "_manifest/topic/generation-2.json"


def two_generations(tmp_path: Path) -> tuple[Archive, "list[ClosedFile]"]:
    """An archive with two ranges of partition 3 in the first generation, when the second one has begun."""
    Archive(Storage(str(tmp_path / "backup")), "topic").manifest.generation_of("first")
    files = []
    for start in (10, 13):
        rows: list[FullRecord] = [(start + number, 5, b"k", b"v", None) for number in range(3)]
        archive, closed = stored(tmp_path, rows, "parquet")
        files.append(closed)
    assert archive.generation_of("second") == 2
    return archive, files


def told(ends: list[End]) -> list[tuple[str, int, dict[int, int]]]:
    """What they say."""
    return [(end.path, end.generation, end.next_offsets()) for end in ends]


def begun_at_once(place: str, monkeypatch: pytest.MonkeyPatch, *identities: str) -> list[int]:
    """The generations of logs of which each looks before any has begun, and the first one writes last."""
    numbers: list[int] = []

    def begin(left: tuple[str, ...]) -> None:
        archive = Archive(Storage(place), "topic")
        ended = archive.manifest._ended

        def others_first(newest: int) -> dict[int, int]:
            monkeypatch.setattr(archive.manifest, "_ended", ended)
            begin(left[1:])
            return ended(newest)

        if left:
            monkeypatch.setattr(archive.manifest, "_ended", others_first)
            numbers.insert(0, archive.generation_of(left[0]))

    begin(identities)
    return numbers


@pytest.mark.parametrize("kind", ["", "memory:/"])
def test_logs_that_begin_at_once_get_a_generation_each(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two had one, and their files replaced each other. Processes of one log share one."""
    place = f"{kind}{tmp_path}/backup"
    assert begun_at_once(place, monkeypatch, "a", "b", "b", "c") == [3, 2, 2, 1]
    manifest = Archive(Storage(place), "topic").manifest
    assert [manifest.generation_named(name) for name in "abcd"] == [3, 2, 1, None]
    assert Archive(Storage(place), "topic").generation_of("b") == 2


def test_a_missing_end_is_noticed(tmp_path: Path) -> None:
    """One range, or both; not where they are only pruned, nor where the old log's processes brought more."""
    archive, files = two_generations(tmp_path)
    first, last = [file.entry for file in files]
    ends = archive.manifest.ends()
    assert told(ends) == [(SECOND, 1, {3: 16})]
    more, _ = stored(tmp_path, [(16, 5, b"k", b"v", None)], "parquet")
    assert list(check_ends(ends, [first, last])) == list(check_ends(ends, more.manifest.entries())) == []
    archive.manifest.prune([first], (), tmp_path)
    assert list(check_ends(ends, [*archive.manifest.pruned_entries(), last])) == []
    (found,) = check_ends(ends, [first])
    assert (found.path, "up to offset 15" in found.problem, "ends at 12" in found.problem) == (SECOND, True, True)
    (found,) = check_ends(ends, [])
    assert "none of its files is left" in found.problem


def test_of_many_partitions_whose_end_is_missing_the_first_and_the_count_is_told(tmp_path: Path) -> None:
    """Ten files of 1 MiB, with 100,000 partitions each that are none, had `verify` take 657 MiB, and tell each of them."""
    archive, files = two_generations(tmp_path)
    (tmp_path / "backup" / SECOND).write_bytes(
        msgspec.json.encode({"identity": "second", "ended": dict.fromkeys(range(99999), 1)})
    )
    ends = archive.manifest.ends()
    assert sum(len(end.held) for end in ends) < 1 << 20
    (found,) = check_ends(ends, [file.entry for file in files])
    assert found.problem.startswith("partition 0 of generation 1")
    assert found.problem.endswith("; so have 99,997 others")
    for ended in ({100_000: 1}, {1: 1 << 63}, {1: -1}):
        (tmp_path / "backup" / SECOND).write_bytes(msgspec.json.encode({"identity": "second", "ended": ended}))
        with pytest.raises(Damaged, match="can't be read"):
            archive.manifest.ends()


def test_an_older_archive_does_not_say_and_is_not_compared(tmp_path: Path) -> None:
    """Its generation has an identity only."""
    archive, _ = two_generations(tmp_path)
    (tmp_path / "backup" / SECOND).write_bytes(b'{"identity":"second"}')
    assert archive.manifest.ends() == []
    assert archive.manifest.generation_named("second") == 2


@pytest.mark.parametrize("digits", [10, 230])
def test_a_number_that_no_generation_can_have_is_passed_over(tmp_path: Path, digits: int) -> None:
    """As any other name that is not ours: else all the numbers before it were missing."""
    archive, files = two_generations(tmp_path)
    manifest = tmp_path / "backup" / "_manifest" / "topic"
    (manifest / f"generation-{'9' * digits}.json").write_bytes((manifest / "generation-2.json").read_bytes())
    (manifest / ("9" * digits) / "3").mkdir(parents=True)
    (manifest / ("9" * digits) / "3" / "7.json").write_bytes(b"{}")
    assert archive.manifest.generations() == {1, 2}
    assert told(archive.manifest.ends()) == [(SECOND, 1, {3: 16})]
    assert archive.manifest.entries() == [file.entry for file in files]
    assert archive.generation_of("second") == 2
    assert archive.generation_of("third") == 3


def test_a_generation_begins_beside_a_damaged_one(tmp_path: Path) -> None:
    """Its end is not known; the damaged entry is named by verify."""
    archive, _ = two_generations(tmp_path)
    (tmp_path / "backup" / "_manifest" / "topic" / "2" / "3").mkdir(parents=True)
    (tmp_path / "backup" / "_manifest" / "topic" / "2" / "3" / "7.json").write_bytes(b"{")
    (tmp_path / "backup" / "_manifest" / "topic" / "2" / ".DS_Store").write_bytes(b"a file manager's")
    assert archive.generation_of("third") == 3
    assert told(archive.manifest.ends()) == [(SECOND, 1, {3: 16})]
