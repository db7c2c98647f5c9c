"""What a burst took goes back to the system: though something that came last still lies at the heap's end, or in cycles. It lies in few heaps."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

_BURST = """
import os
from devicesync.assembly.process_memory import give_memory_back
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
from devicesync.assembly.process_memory import give_memory_back
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


_HEAPS = """
import ctypes, sys, threading
from devicesync.assembly.process_memory import keep_memory_small
keep_memory_small()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
together = threading.Barrier(8)
def take():
    together.wait(60)
    libc.malloc(1000)
    together.wait(60)
threads = [threading.Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
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


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="this C library has no malloc_info")
def test_many_threads_share_two_heaps(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _HEAPS, tmp_path / "info"], check=True)
    assert (tmp_path / "info").read_text().count("<heap ") == 2
