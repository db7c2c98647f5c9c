"""How connections are accepted: counted in turns of the event loop, not in seconds."""

import asyncio
import errno
import os
import socket
import threading
import time
from typing import Any

import pytest
import uvloop

from devicesync.api import acceptor
from devicesync.api.acceptor import Acceptor
from devicesync.api.connections import Door
from devicesync.api.serve import listen, serving

WAITING = 100
SLOW_SECONDS = 0.05
ENOUGH_TURNS = 200


def test_all_that_wait_are_accepted_in_one_turn() -> None:
    """However long it takes. One in each turn, the last of them would wait for a hundred turns."""
    opened = listen("listen", "127.0.0.1:0")
    clients = [socket.create_connection(opened.getsockname()) for _ in range(WAITING)]
    door = Door(None)
    counts: list[int] = []
    done = threading.Event()

    def turn() -> None:
        time.sleep(SLOW_SECONDS)
        counts.append(len(door))
        if counts[-1] < WAITING and len(counts) < ENOUGH_TURNS:
            asyncio.get_running_loop().call_soon(turn)
        else:
            done.set()

    def make_doors() -> Any:
        asyncio.get_running_loop().call_soon(turn)
        return [(door, opened)]

    with serving(make_doors, lambda: None):
        assert done.wait(60)
    for client in clients:
        client.close()
    assert counts[-1] == WAITING
    assert len(set(counts)) <= 3


class Told(asyncio.Protocol):
    """Sets an event when it is connected."""

    def __init__(self, made: asyncio.Event) -> None:
        self._made = made

    def connection_made(self, transport: Any) -> None:
        """It is."""
        transport.abort()
        self._made.set()


class Full(socket.socket):
    """A listening socket, while no descriptor is left."""

    def __init__(self) -> None:
        super().__init__()
        self.tried = asyncio.Event()
        self.tries = 0
        self.is_full = True

    def accept(self) -> Any:
        """Raises EMFILE."""
        if self.is_full:
            self.tries += 1
            self.tried.set()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@pytest.mark.parametrize("is_closed", [False, True])
def test_without_a_descriptor_it_pauses(is_closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - a case
    """It does not try at every turn. Who waits is served later; where it is closed first, it tries no more."""
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", SLOW_SECONDS)

    async def pause(full: Full) -> None:
        made = asyncio.Event()
        accepting = Acceptor(full, lambda: Told(made))
        await full.tried.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert full.tries == 1
        full.is_full = False
        if is_closed:
            await accepting.close()
            await asyncio.sleep(4 * SLOW_SECONDS)
            assert (full.tries, made.is_set()) == (1, False)
        else:
            await asyncio.wait_for(made.wait(), 60)
            await accepting.close()

    with Full() as full:
        full.bind(("127.0.0.1", 0))
        full.listen()
        with socket.create_connection(full.getsockname()), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(pause(full))
