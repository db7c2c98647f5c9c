"""A child that does not outlive its parent."""

import signal
import subprocess
import sys

ENDED_BEFORE_ITS_PROGRAM = """
import os, signal, subprocess
from devicesync.assembly.parent import ending_with_this_process

signal.signal(signal.SIGTERM, lambda *_: None)
tie = ending_with_this_process()

def told_at_once():
    tie()
    os.kill(os.getpid(), signal.SIGTERM)

print(subprocess.run(["sleep", "60"], preexec_fn=told_at_once).returncode)
"""


def test_a_parent_that_ends_before_its_child_s_program_begins() -> None:
    """The parent's own handler took the signal, in the child. A worker of `update --workers` then lived on without anybody."""
    done = subprocess.run([sys.executable, "-c", ENDED_BEFORE_ITS_PROGRAM], check=True, capture_output=True, text=True)
    assert int(done.stdout) == -signal.SIGTERM
