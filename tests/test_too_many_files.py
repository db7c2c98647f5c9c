"""No file descriptor is left: what fails by that says so, in a line."""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from devicesync.cli import main

CASSANDRA = """
import os, resource
from devicesync.database.cassandra import acsylla, database
from devicesync.database.cassandra.url import CassandraUrl
from devicesync.errors import Unavailable

resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
try:
    while True:
        held.append(os.dup(2))
except OSError:
    pass
for left in range(8):
    try:
        database.CassandraDatabase(CassandraUrl.parse("cassandra://127.0.0.1:1/keyspace"), "acsylla")
    except Unavailable as error:
        print(left, error)
    os.close(held.pop())
"""


def test_cassandra_can_t_be_reached_then_and_nothing_else_is_printed() -> None:
    """Whether none is left, or a few: each try ends with the reason, and a later one works."""
    done = subprocess.run([sys.executable, "-c", CASSANDRA], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert (lines[:3], done.stderr) == ([f"{left} can't reach Cassandra: Too many open files" for left in range(3)], "")
    assert len(lines) == 8


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("file", [[], [main.__file__]])
def test_a_command_says_so_and_names_no_file_of_ours(
    number: int, file: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Most often the one that can't be opened is code, which is loaded when it is called."""

    def fail(words: list[str]) -> int:
        del words
        raise OSError(number, os.strerror(number), *file)

    monkeypatch.setattr(main, "run", fail)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 3
    assert capsys.readouterr().err == "devicesync: too many open files\n  hint: raise the limit: ulimit -n\n"
