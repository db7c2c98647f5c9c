"""What a killed upload leaves in a directory under a hidden name is named, and goes: it may have an erased device's records."""

import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devicesync import durable
from devicesync.archive.archive import UPLOAD_SECONDS
from devicesync.archive.storage import Storage
from devicesync.errors import Unavailable
from devicesync.jobs.backup.verify import check_entries
from tests.archive.test_files import stored

if TYPE_CHECKING:
    from devicesync.log.full import FullRecord

ROWS: "list[FullRecord]" = [(10, 5, b"k", b"v\n", [("h", b"")])]
DAY = "topic/dt=1970-01-01"
ENTRIES = "_manifest/topic/1/3"
OF_FILES = [f"{DAY}/.1_3_10.1-5f3a9c20.jsonl.gz.7", f"{DAY}/.1_3_90.parquet.123", f"{ENTRIES}/.10.1-5f3a9c20.rest.parquet.9"]
LEFT = [*OF_FILES, "_manifest/topic/.generation-2.json.5", f"{ENTRIES}/.10.erasures.json.8"]
OTHERS = [f"{DAY}/.notes.2024", f"{DAY}/.1_3_10.parquet.old", f"{DAY}/1_3_99.parquet.1"]


def leave(place: Path, *, seconds: float) -> None:
    """As if killed processes had written there so long ago, and others' files that have similar names."""
    for name in (*LEFT, *OTHERS):
        (place / name).write_bytes(b"left")
        os.utime(place / name, (time.time() - seconds,) * 2)


def left(place: Path) -> list[str]:
    """Those that are there."""
    return [name for name in (*LEFT, *OTHERS) if (place / name).exists()]


@pytest.mark.parametrize("seconds", [0, 2 * UPLOAD_SECONDS])
def test_verify_names_what_is_left_and_a_redact_removes_it(tmp_path: Path, seconds: float) -> None:
    """A redact does so however young it is, a prune where nobody has written to it for an hour; nothing else goes."""
    place = tmp_path / "backup"
    archive, closed = stored(tmp_path, ROWS, "jsonl")
    leave(place, seconds=seconds)
    found = list(check_entries(archive, [], [], [closed.entry]))
    assert sorted(each.path for each in found) == sorted(LEFT)
    assert all("a killed upload left it" in each.problem for each in found)
    assert archive.unlisted([closed.entry]) == {}, "a restore is not refused: nothing is missing"
    archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries(), UPLOAD_SECONDS)
    assert left(place) == (OTHERS if seconds else [*LEFT, *OTHERS])
    archive.remove_leftovers(archive.manifest.entries(), archive.manifest.pruned_entries())
    assert left(place) == OTHERS
    assert list(check_entries(archive, [], [], [closed.entry])) == []


def test_the_next_upload_removes_what_is_old_beside_it(tmp_path: Path) -> None:
    """Others may be at work there. What it is about is not said by a name: a revision's is random, and a format has its own."""
    place = tmp_path / "backup"
    archive, closed = stored(tmp_path, ROWS, "jsonl")
    leave(place, seconds=0)
    archive.upload(closed)
    assert left(place) == [*LEFT, *OTHERS]
    leave(place, seconds=2 * UPLOAD_SECONDS)
    archive.upload(closed)
    assert left(place) == ["_manifest/topic/.generation-2.json.5", *OTHERS]


def test_a_writer_whose_file_is_removed_on_its_way_fails_and_writes_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing that somebody takes for a dead one's is lost."""
    storage, here = Storage(str(tmp_path / "backup")), tmp_path / "here"
    here.write_bytes(b"whole")

    def removed(path: Path) -> None:
        for beside in path.parent.iterdir():
            beside.unlink()

    def copied_and_removed(source: Any, beside: Path) -> None:
        whole(source, beside)
        removed(beside)

    whole, sync = shutil.copyfile, os.fsync
    monkeypatch.setattr(shutil, "copyfile", copied_and_removed)
    with pytest.raises(Unavailable):
        storage.put(here, "a/1.parquet")
    monkeypatch.setattr(shutil, "copyfile", whole)
    monkeypatch.setattr(os, "fsync", lambda file: removed(tmp_path / "backup" / "a" / "2.json"))
    for write in (storage.create, storage.put_bytes):
        with pytest.raises(Unavailable):
            write("a/2.json", b"whole")
    monkeypatch.setattr(os, "fsync", sync)
    storage.put(here, "a/1.parquet")
    for write in (storage.create, storage.put_bytes):
        write("a/2.json", b"whole")
    assert [storage.read_bytes(name, 9) for name in ("a/1.parquet", "a/2.json")] == [b"whole"] * 2
    assert durable.name_of(".a.1.2") == "a.1"
