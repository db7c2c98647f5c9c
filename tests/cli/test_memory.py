"""What a burst took goes back to the system: though something that came last still lies at the heap's end, or in cycles."""

import ctypes
import subprocess
import sys

import pytest

_BURST = """
import os
from devicesync.cli.memory import give_memory_back
def held(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before = held()
burst = [bytes(4000) for _ in range(20_000)]
last = bytes(4000)
del burst
after = held()
give_memory_back()
print(after - before, held() - before)
"""


_CYCLES = """
import gc
from devicesync.cli.memory import give_memory_back
class Failed(Exception): pass
def failing(batch):
    try:
        raise Failed
    except Failed as error:
        kept = error
        return len(batch), kept.args
gc.disable()
give_memory_back()
for _ in range(100):
    failing([object() for _ in range(1000)])
held = len(gc.get_objects())
give_memory_back()
print(held - len(gc.get_objects()))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
def test_what_a_burst_took_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", _BURST], capture_output=True, text=True, check=True)
    held, left = map(int, done.stdout.split())
    assert held > 70_000_000
    assert left < 10_000_000


def test_the_cycles_that_failed_calls_leave_are_collected() -> None:
    done = subprocess.run([sys.executable, "-c", _CYCLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 100
