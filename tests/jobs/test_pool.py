"""Worker processes that are killed: the part is done again, and one that always kills ends the command with its name."""

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import resource_tracker, util
from pathlib import Path
from typing import Any
from unittest.mock import Mock

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


@pytest.mark.parametrize("workers", [1, 3])
def test_a_process_that_is_killed_at_birth_is_as_one_that_is_killed_later(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """As by the system that ran out of memory: the pipe to it breaks before it has read its work."""
    said: list[str] = []
    die_at_birth(monkeypatch, times=2)
    with Pool(workers, Settings(), said.append) as pool:
        assert sorted(pool.each(same, {name: name for name in "abc"})) == ["a", "b", "c"]
    assert len(said) >= 2


def test_a_death_while_a_process_is_begun_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the new one is to read was closed meanwhile, and its number was given again: Python says "bad value(s) in fds_to_keep"."""
    spawn, left = util.spawnv_passfds, [1]

    def spawn_with_a_closed_file(path: bytes, arguments: list[bytes], files: tuple[int, ...]) -> int:
        pid: int = spawn(path, arguments, files + files[: left.pop() if left else 0])
        return pid

    resource_tracker.ensure_running()
    monkeypatch.setattr(util, "spawnv_passfds", spawn_with_a_closed_file)
    with Pool(2, Settings()) as pool:
        assert sorted(pool.each(same, {name: name for name in "abc"})) == ["a", "b", "c"]


def test_processes_that_all_die_at_birth_end_the_command_with_the_part_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would begin them for ever."""
    die_at_birth(monkeypatch, times=1000)
    with pytest.raises(Unavailable, match="3 worker processes died over a"), Pool(1, Settings()) as pool:
        list(pool.each(same, {"a": "a"}))


@pytest.mark.parametrize(("times", "error"), [(2, nullcontext()), (3, pytest.raises(Unavailable, match="at birth"))])
def test_the_process_beside_the_workers_that_dies_at_birth_is_begun_again(
    monkeypatch: pytest.MonkeyPatch, times: int, error: AbstractContextManager[Any]
) -> None:
    """Python's tracker of semaphores: the pipe to it breaks where these are made."""
    begin = Mock(side_effect=[BrokenPipeError() for _ in range(times)] + [Mock()])
    monkeypatch.setattr("devicesync.assembly.pool.ProcessPoolExecutor", begin)
    with error:
        Pool(1, Settings())


def die_at_birth(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """The next so many worker processes are dead before anything is written to them."""
    resource_tracker.ensure_running()  # it is none of them
    spawn, left = util.spawnv_passfds, [None] * times

    def spawn_dead(*arguments: Any) -> int:
        pid: int = spawn(*arguments)
        if left:
            left.pop()
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        return pid

    monkeypatch.setattr(util, "spawnv_passfds", spawn_dead)


def same(name: str) -> str:
    """The name."""
    return name
