"""How far a long job came, in a file that anything may have happened to."""

import os
import shutil
import time
from pathlib import Path

import pytest

from devicesync.assembly.progress import Progress
from devicesync.errors import Unavailable
from devicesync.jobs.restore.selection import Selection

WHAT: dict[str, object] = {"database": "sqlite:here", "ranges": 3}


def test_a_job_goes_on_where_it_was(tmp_path: Path) -> None:
    """The same job alone; asked to begin anew, it does."""
    path = tmp_path / "progress.json"
    Progress(path, WHAT, restart=False).done("1", 7)
    assert [*Progress(path, WHAT, restart=False).left("123")] == ["2", "3"]
    for what, restart in ((WHAT, True), (WHAT | {"ranges": 4}, False)):
        assert not Progress(path, what, restart=restart).goes_on


def test_notes_go_before_what_they_tell_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it removes, a job leaves no note of what is gone. Without what it made, it begins anew."""
    path, made = tmp_path / "progress.json", tmp_path / "made"
    made.mkdir()
    begun = Progress(path, WHAT, restart=False, directory=made)
    begun.done("1", 7)
    assert Progress(path, WHAT, restart=False, directory=made).goes_on
    assert not Progress(path, WHAT, restart=False, directory=tmp_path / "another").goes_on

    def killed(directory: Path) -> None:
        assert directory == made
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            begun.clear()
    assert not Progress(path, WHAT, restart=False, directory=made).goes_on
    begun.clear()
    begun.clear()
    assert not made.exists()


def test_what_can_not_be_removed_is_told(tmp_path: Path) -> None:
    """It would be taken for what the next run makes."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="can't remove") as failure:
        Progress(tmp_path / "progress.json", WHAT, restart=False, directory=link).clear()
    assert "no link may stand there" in (failure.value.hint or "")


def test_a_selection_is_the_same_one_in_the_next_run(tmp_path: Path) -> None:
    """It is a tuple, and JSON has lists: an interrupted restore never went on."""
    path = tmp_path / "progress.json"
    what = WHAT | {"selection": Selection(until_ms=5, device_id="d", partitions=(0, 3))}
    Progress(path, what, restart=False).done("1", 7)
    assert Progress(path, what, restart=False).goes_on
    assert not Progress(path, WHAT | {"selection": Selection(5, "d", (0,))}, restart=False).goes_on


def test_of_a_store_that_gives_no_sign_only_what_was_noted_lately_counts(tmp_path: Path) -> None:
    """A file of last month said that parts of a store were done, which had been emptied since."""
    path = tmp_path / "progress.json"
    begun = Progress(path, WHAT, restart=False, ages=True)
    begun.done("1", 7)
    next_run = Progress(path, WHAT, restart=False, ages=True)
    assert (next_run.goes_on, next_run.began_ms) == (True, begun.began_ms)
    noted = time.time() - 13 * 3600
    os.utime(path, (noted, noted))
    assert not Progress(path, WHAT, restart=False, ages=True).goes_on
    assert Progress(path, WHAT, restart=False).goes_on


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'{"what":1,"results":{}}', b'{"results":{}}', b"[" * 100_000, None]
)
def test_what_no_job_can_have_written_counts_as_nothing(tmp_path: Path, content: bytes | None) -> None:
    """The job begins anew, and writes over it; of a pipe (None) nothing is waited for."""
    path = tmp_path / "progress.json"
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    begun = Progress(path, WHAT, restart=False)
    assert (begun.goes_on, begun.results) == (False, {})
    begun.done("1", 7)
    assert Progress(path, WHAT, restart=False).results == {"1": 7}
