"""A command that begins loaded is to a test as one that loads itself, only sooner (tests/loaded.py)."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests import loaded

SAYS = """\
import os, sys, uuid
print(os.getcwd(), *sys.argv[1:], *os.environ.values(), sys.stdin.read())
print(uuid.uuid4(), __import__("random").random(), file=sys.stderr)
sys.exit(7)
"""
OPEN = "import os; print(*(os.readlink(f'/proc/self/fd/{number}').split(':')[0] for number in range(3)), len(os.listdir('/proc/self/fd')))"
STAYS = "print('stays', flush=True); __import__('time').sleep(600)"
PIPE = subprocess.PIPE


def begun(directory: Path, code: str, *words: str) -> loaded.Popen:
    script = directory / "script.py"
    script.write_text(code)
    return loaded.Popen([script, *words], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, cwd=directory, env={"ITS": "own"})


def test_it_has_what_it_is_given_and_draws_what_no_other_draws(tmp_path: Path) -> None:
    """Words, directory, environment, stdin; stdout, stderr and a status of its own."""
    drawn = set()
    for _ in range(2):
        with begun(tmp_path, SAYS, "a b", "é") as process:
            said, random = process.communicate("given")
        assert (process.returncode, said) == (7, f"{tmp_path} a b é own given\n")
        drawn.update(random.split())
    assert len(drawn) == 4


def test_it_holds_nothing_of_the_others(tmp_path: Path) -> None:
    """Three pipes, and the directory that it lists; also beside one that runs."""
    with begun(tmp_path, STAYS) as other:
        with begun(tmp_path, OPEN) as process:
            assert process.communicate()[0] == "pipe pipe pipe 4\n"
        other.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    """Its status says which; until then it has none, and a wait with a limit says so."""
    with begun(tmp_path, STAYS) as process:
        assert process.stdout
        assert process.stdout.readline() == "stays\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(60) == process.poll() == process.returncode == -number
