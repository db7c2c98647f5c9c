"""Into how many buckets a restore divides the devices, so that each fits in memory."""

from pathlib import Path

import msgspec
import pytest

from devicesync.archive.archive import Archive
from devicesync.archive.storage import Storage
from devicesync.assembly.restore.run import Request, Run
from devicesync.assembly.restore.stores import bucket_count
from devicesync.assembly.watcher import Unwatched
from devicesync.jobs.restore.selection import Selection
from tests.archive.test_files import stored
from tests.assembly.test_unwatched import settings_in


@pytest.mark.parametrize(
    ("records", "erasures", "record_bytes", "buckets"),
    [
        (1, 0, 1, 16),
        (4_000_000, 0, 1, 80),
        (4_000_000, 1_000_000, 1, 100),
        (0, 5_000_000, 0, 100),
        (1000, 0, 4 << 30, 128),
        (1 << 40, 0, 1 << 50, 1024),
    ],
)
def test_a_bucket_has_some_ten_thousands_of_devices(
    tmp_path: Path, records: int, erasures: int, record_bytes: int, buckets: int
) -> None:
    """Whatever the entries say of the bytes: 7.5 MB of Parquet, which were to have two bytes of records, took 750 MiB."""
    _, closed = stored(tmp_path, [(0, 5, b"k", b"v", None)], "parquet")
    sizes = [(records // 2, record_bytes // 2)] * 2
    entries = [msgspec.structs.replace(closed.entry, records=some, record_bytes=size) for some, size in sizes]
    request = Request("backup", Selection(), allow_gaps=False, dry_run=False, workers=1, restart=False)
    archive = Archive(Storage(str(tmp_path)), "topic")
    run = Run(request, settings_in(tmp_path), Unwatched(), archive, entries, [], erasures, 0)
    assert bucket_count(run) == buckets
