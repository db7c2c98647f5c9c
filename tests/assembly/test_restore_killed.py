"""A restore that is killed after it removed what another one had read."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from devicesync.assembly.apply import apply
from devicesync.assembly.backup.run import backup
from devicesync.assembly.long_run import LongRun
from devicesync.assembly.restore import stores
from devicesync.assembly.restore.run import Request
from devicesync.assembly.watcher import Unwatched
from devicesync.jobs.backup.partition_backup import Limits
from devicesync.jobs.restore.selection import Selection
from tests.assembly.test_digests_killed import Killed, killed
from tests.assembly.test_unwatched import LINE, settings_in


def test_what_another_run_removed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first restore then went on with nothing, left devices out, and said "equal"."""
    first, second = settings_in(tmp_path / "first"), settings_in(tmp_path / "second")
    stop, watcher, place = threading.Event(), Unwatched(), str(tmp_path / "backup")
    (tmp_path / "events").write_bytes(LINE)
    with capture_logs():
        apply(tmp_path / "events", first, stop, watcher)
        backup(place, first, LongRun(stop, watcher, until_caught_up=True), Limits(1 << 20, 60.0), "parquet")
    request = Request(place, Selection(), allow_gaps=False, dry_run=False, workers=1, restart=False)
    for step, asked in (("_settle", request), ("_keep_erasures", request._replace(dry_run=True))):
        with monkeypatch.context() as patched:
            patched.setattr(stores, step, killed)
            with pytest.raises(Killed):
                stores.restore_to_stores(asked, second, watcher)
    assert stores.restore_to_stores(request, second, watcher)["proof"]["devices"] == 1
