"""After Cassandra was away, a session tries again every second or so, for as long as it takes."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from devicesync.database.cassandra.connect import connect
from devicesync.database.cassandra.driver import Failed
from devicesync.database.cassandra.url import CassandraUrl
from tests import servers

ENOUGH_TRIES = 8
"""A session that backs off tries five times in this minute."""
SECONDS = 60.0
ASK = "SELECT release_version FROM system.local"


class Door:
    """A port of this machine that leads to another one, until it is shut: then whoever comes is sent away, and counted."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._inside: list[socket.socket] = []
        self._is_shut = False
        self.sent_away = threading.Semaphore(0)
        threading.Thread(target=self._serve, daemon=True).start()

    def shut(self) -> None:
        """Send everybody away."""
        self._is_shut = True
        for each in self._inside:
            with suppress(OSError):  # it left by itself
                each.shutdown(socket.SHUT_RDWR)

    def open(self) -> None:
        """Let them in again."""
        self._is_shut = False

    def close(self) -> None:
        """Nobody listens any more."""
        self.shut()
        self._listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake who waits in `accept`
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
            except OSError:
                return
            if self._is_shut:
                one.close()
                self.sent_away.release()
                continue
            other = socket.create_connection(("127.0.0.1", self._to))
            self._inside += [one, other]
            for ends in ((one, other), (other, one)):
                threading.Thread(target=_carry, args=ends, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with source, suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def door() -> Iterator[Door]:
    """A door to the shared Cassandra."""
    door = Door(servers.cassandra().port)
    yield door
    door.close()


def test_acsylla_does_not_back_off(door: Door) -> None:
    """It is sent away eight times within a minute, and works when it is let in again.

    (cassandra-driver notices a refused connection at once, but one that is closed only after CONNECT_SECONDS.)
    """
    session = connect(CassandraUrl.parse(f"cassandra://127.0.0.1:{door.port}/unused"), "acsylla")
    try:
        session.query(ASK)
        door.shut()
        ends_at = time.monotonic() + SECONDS
        assert all(door.sent_away.acquire(timeout=max(ends_at - time.monotonic(), 0)) for _ in range(ENOUGH_TRIES))
        door.open()
        assert _answers(session.query)
    finally:
        session.close()


def _answers(ask: Callable[[str], object]) -> bool:
    """Whether it does before long."""
    pause, tries = threading.Event(), 0
    while tries < SECONDS * 10:
        try:
            return bool(ask(ASK))
        except Failed:
            tries += pause.wait(0.1) + 1
    return False
