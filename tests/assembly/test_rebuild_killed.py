"""A `rebuild --restart` that is killed before anything is done."""

from pathlib import Path

import pytest

from devicesync import data_directory
from devicesync.assembly import rebuild
from devicesync.assembly.progress import Progress
from devicesync.assembly.watcher import Unwatched
from tests.assembly.test_digests_killed import Killed, killed
from tests.assembly.test_unwatched import settings_in


def test_the_next_one_does_not_go_on_with_what_was_to_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache was emptied, and half of it counted as done."""
    what, noted = {"parts": 2}, tmp_path / data_directory.REBUILD_PROGRESS
    Progress(noted, what, restart=False, ages=True).done("0", 7)
    monkeypatch.setattr(rebuild, "Pool", killed)
    with pytest.raises(Killed):
        rebuild._rebuild(what, settings_in(tmp_path), Unwatched(), 1, restart=False)
    assert Progress(noted, what, restart=False, ages=True).goes_on
    with pytest.raises(Killed):
        rebuild._rebuild(what, settings_in(tmp_path), Unwatched(), 1, restart=True)
    assert not Progress(noted, what, restart=False, ages=True).goes_on
