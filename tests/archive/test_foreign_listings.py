"""A stranger lists a range beside the backup's own, and no command of ours removes or names a true file because of that."""

from pathlib import Path

import pytest

from devicesync.archive.entry import Entry
from devicesync.archive.ranges import ENTRY, place_of
from devicesync.archive.storage import Storage
from devicesync.archive.trust import sealed
from devicesync.assembly.backup.prune import prune
from devicesync.assembly.backup.redact import redact
from devicesync.assembly.watcher import Unwatched
from devicesync.clock import SYSTEM
from devicesync.errors import Damaged
from devicesync.jobs.backup.verify import check_overlaps
from tests.archive.life import Life, made


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
