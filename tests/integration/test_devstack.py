"""The development stack's servers: data and ports stay, and no server outlives who started it."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis
from devstack.server import Missing, answers, free_ports
from devstack.servers import Redis

from tests.end_to_end.command import until

ROOT = Path(__file__).parents[2]
STARTER = """
import os, signal, sys
from pathlib import Path
from devstack.servers import Redis
server = Redis(Path(sys.argv[1]))
server.start()
print(server.port, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def open_redis(directory: Path) -> Redis:
    try:
        return Redis(directory, "--appendonly", "yes")
    except Missing as missing:
        pytest.skip(str(missing))


def is_there(port: int) -> bool:
    try:
        return answers(port)
    except OSError:
        return False


def test_data_and_ports_stay_between_starts(tmp_path: Path) -> None:
    """A port that somebody else has taken meanwhile is named."""
    first = open_redis(tmp_path)
    first.start()
    redis.Redis(port=first.port).set("kept", "yes")
    with pytest.raises(Missing, match=f"port {first.port}"):
        Redis(tmp_path)
    first.stop()
    second = open_redis(tmp_path)
    assert second.port == first.port
    second.start()
    assert redis.Redis(port=second.port).get("kept") == b"yes"
    second.stop()


def test_a_server_ends_with_who_started_it(tmp_path: Path) -> None:
    """Also where that one was killed and could do nothing about it."""
    done = subprocess.run([sys.executable, "-c", STARTER, tmp_path], cwd=ROOT, capture_output=True, check=False, text=True)
    if "Missing" in done.stderr:
        pytest.skip(done.stderr)
    port = int(done.stdout)
    until(lambda: not is_there(port))


def test_no_port_is_one_that_connections_get() -> None:
    """Else a connection may have it by the time its server comes back."""
    first, _ = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert max(free_ports(100)) < first
