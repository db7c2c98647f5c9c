"""What the settings make."""

from contextlib import closing
from pathlib import Path

from devicesync import data_directory
from devicesync.assembly import adapters
from devicesync.config import load


def test_the_journal_keeps_what_may_tell_the_last_version(tmp_path: Path) -> None:
    """Of a clock that was 200 s ahead all was gone that told its version, and the next registration's was 196 s behind it."""
    given = {"data_dir": str(tmp_path), "journal_segment_bytes": 1, "journal_retention_seconds": 0.0}
    settings = load(given, {}).settings
    data_directory.prepare(settings.directory)
    with closing(adapters.open_journal(settings)) as journal, closing(journal.reader("updater")) as reader:
        for line in (b"1", b"2", b"3"):
            journal.append([line])
        reader.skip(3)
        reader.commit()
        journal.tidy()
        assert [record.value for record in journal.taken_since(0, 10, {})] == [b"1", b"2", b"3"]
