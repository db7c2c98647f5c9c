"""msgspec looks at a type when it is first decoded; a second thread that decodes it meanwhile crashed the process in msgspec 0.20.

`backup verify`, `restore` and `prune` read the manifest with many threads. So a type's decoder is made when its module is loaded.
"""

import re
import subprocess
import sys
from pathlib import Path

import devicesync

ENTRIES_IN_THREADS = """
import os, sys, threading
import msgspec
from devicesync.archive.entry import Entry, Extra
from devicesync.archive.ranges import ENTRY, entries_in, listing_path

entry = Entry("t/dt=1970-01-01/1_0_0.parquet", "t", "s", 1, 0, 0, 0, 5, 5, 5, "x", 5, 1, 1, 1, "parquet", follows=True)
path, held = listing_path([entry], ENTRY), msgspec.json.encode([entry])
sys.setswitchinterval(1e-6)
ends = set()
for turn in range(60):
    child = os.fork()
    if not child:
        together = threading.Barrier(8)
        readers = [threading.Thread(target=lambda: (together.wait(), entries_in(path, held))) for _ in range(8)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        os._exit(0)
    ends.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(ends)
"""


def test_threads_may_be_the_first_to_read_an_entry() -> None:
    """One in four such processes ended with signal 11."""
    done = subprocess.run([sys.executable, "-c", ENTRIES_IN_THREADS], check=True, capture_output=True, text=True)
    assert done.stdout == "{0}\n"


def test_no_type_is_first_seen_where_it_is_decoded() -> None:
    """`decode(…, type=T)` looks at T at its first call, whichever thread calls it; a Decoder when it is made."""
    sources = {path: path.read_text() for path in Path(devicesync.__path__[0]).rglob("*.py")}
    assert [path for path, text in sources.items() if re.search(r"(json|msgpack)\.decode\([^\n]*type=", text)] == []
