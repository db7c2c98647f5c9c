"""`backup verify` compares the backup with the log that the settings name, also where nothing of it was ever kept."""

from pathlib import Path

import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.assembly.backup.verify import verify
from devicesync.assembly.watcher import Unwatched
from devicesync.config import Settings
from devicesync.log.journal import Journal
from tests.archive.test_files import stored


class Told(Unwatched):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """See Watcher."""
        self.said.append(text)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("topic", ["topic", "another"])
def test_a_log_that_nobody_keeps_is_named_and_all_its_records_are_behind(tmp_path: Path, topic: str, *, deep: bool) -> None:
    """Of another host, or of another topic: else "0 problems" would count as a proof that its records are kept."""
    Archive(Storage(str(tmp_path / "backup")), "topic").generation_of("of another host")
    stored(tmp_path, [(0, 5, b"k", b"v", None)], "parquet")
    settings = Settings(data_dir=str(tmp_path / "data"), log=f"journal:{tmp_path / topic}")
    told = Told()
    assert (verify(str(tmp_path / "backup"), settings, told, deep=deep)["behind"], told.said) == (0, []), "there is no log"
    journal = Journal(tmp_path / topic, segment_bytes=1 << 20, retention_seconds=60)
    journal.append([b"{}"] * 5)
    journal.close()
    found = verify(str(tmp_path / "backup"), settings, told, deep=deep)
    assert (found["files"], found["problems"], found["behind"]) == (1, [], 5)
    assert len(told.said) == 1
    assert f"{topic} is in no generation of this backup" in told.said[0]
