"""Worker processes that are killed: the part is done again, and one that always kills ends the command with its name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devicesync.assembly.pool import Pool
from devicesync.config import Settings
from devicesync.errors import Damaged, Unavailable
from tests.end_to_end.command import until


def killed_once(marker: str) -> str:
    """Dies by SIGKILL the first time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker


def deadly(name: str) -> str:
    """Dies by SIGKILL whenever it is asked for "deadly"."""
    if name == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def damaged(name: str) -> str:
    """Raises."""
    raise Damaged(name, "is missing")


def test_a_killed_process_s_part_is_done_again(tmp_path: Path) -> None:
    """Each part kills its first process; each result comes once."""
    parts = {str(number): str(tmp_path / str(number)) for number in range(3)}
    with Pool(2, Settings()) as workers:
        assert sorted(workers.each(killed_once, parts)) == sorted(parts.values())


def test_a_part_that_kills_three_processes_is_named() -> None:
    """It would wait, or go on, for ever."""
    names = {name: name for name in ("a", "b", "deadly")}
    with pytest.raises(Unavailable, match="3 worker processes died over deadly"), Pool(2, Settings()) as workers:
        list(workers.each(deadly, names))


def test_what_a_part_raises_comes_out_whole() -> None:
    """With its hint."""
    with pytest.raises(Damaged, match="x is missing") as caught, Pool(1, Settings()) as workers:
        list(workers.each(damaged, {"x": "x"}))
    assert (caught.value.path, "verify" in caught.value.hint) == ("x", True)


PARENT = """
import time
from devicesync.assembly.pool import Pool
from devicesync.config import Settings
from tests.jobs.test_pool import own_pid
if __name__ == "__main__":
    with Pool(1, Settings()) as workers:
        for pid in workers.each(own_pid, {"x": "x"}):
            print(pid, flush=True)
            time.sleep(600)
"""


def own_pid(name: str) -> int:
    """The worker's."""
    del name
    return os.getpid()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    """They would wait for work for ever."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until(lambda: not is_running(worker))


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
