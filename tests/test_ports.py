"""Servers of tests get ports of their own."""

import subprocess
import sys

import pytest
from devstack import server

ANOTHER = "import sys; from devstack import server; server._PORTS = range(*map(int, sys.argv[1:])); print(*server.free_ports(9))"


def test_no_process_gets_a_port_that_another_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there for the minute that a server takes to start. So two got one, and 41 tests had no Cassandra."""
    (first,) = server.free_ports(1)
    monkeypatch.setattr(server, "_PORTS", range(first, first + 4))
    mine = server.free_ports(2)
    command = [sys.executable, "-c", ANOTHER, str(first), str(first + 4)]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert {first, *mine}.isdisjoint(map(int, theirs))
