"""The directories of local files: those of several processes that start at once."""

import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from devicesync.archive.spool import Spool


def test_a_directory_that_another_process_takes_for_a_dead_ones_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other sees it between its making and its lock."""
    made: list[Path] = []
    make = tempfile.mkdtemp

    def taken(dir: Path) -> str:  # noqa: A002
        made.append(Path(make(dir=dir)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", taken)
    with closing(Spool(tmp_path)) as spool:
        assert [spool.path] == made[1:]
