"""The near cache beside a simulated Redis: whatever the interleaving, what it gives was true when its age says, or later.

Messages of changes and replies to proofs travel in one queue, in order, as on a connection; reads travel apart from it.
"""

import random
from bisect import bisect_right
from collections import deque
from operator import itemgetter

import pytest

from devicesync.enrich.near_cache import Boarded, Entry, NearCache

STEPS = ("write", "flush", "board", "read", "land", "beat", "deliver", "lose", "connect")
WEIGHTS = (6, 1, 20, 20, 20, 20, 40, 1, 2)


class World:
    """One device, one server, one near cache. Time is the number of steps."""

    def __init__(self) -> None:
        self.near = NearCache(10_000)
        self.now = 0
        self.versions = [(0, 0)]  # since when, which
        self.queue: deque[tuple[str, int]] = deque()
        self.is_connected = False
        self.proven_at = self.used = 0
        self.boarded: list[tuple[Boarded, int]] = []
        self.read: list[tuple[Boarded, Entry]] = []

    def step(self, name: str) -> None:
        self.now += 1
        getattr(self, f"do_{name}")()

    def do_write(self) -> None:
        self.versions.append((self.now, self.versions[-1][1] + 1))
        if self.is_connected:
            self.queue.append(("changed", 0))

    def do_flush(self) -> None:
        self.versions.append((self.now, self.versions[-1][1] + 1))
        if self.is_connected:
            self.queue.append(("flushed", 0))

    def do_board(self) -> None:
        boarded = self.near.board(["d"])
        if boarded.mine:
            self.boarded.append((boarded, self.now))

    def do_read(self) -> None:
        """The server answers; the answer is under way."""
        if self.boarded:
            boarded, asked_at = self.boarded.pop(0)
            self.read.append((boarded, Entry(b"x", self.versions[-1][1], asked_at)))

    def do_land(self) -> None:
        """Answers of several connections come in any order: here the last one first."""
        if self.read:
            boarded, entry = self.read.pop()
            self.near.land(boarded.flight, {"d": entry})

    def do_beat(self) -> None:
        if self.is_connected:
            self.queue.append(("proof", self.now))

    def do_deliver(self) -> None:
        if not self.queue:
            return
        kind, asked_at = self.queue.popleft()
        if kind == "changed":
            self.near.forget(["d"])
        elif kind == "flushed":
            self.near.forget_all()
        else:
            self.proven_at = asked_at

    def do_lose(self) -> None:
        self.is_connected = False
        self.queue.clear()
        self.near.close()

    def do_connect(self) -> None:
        """Broadcasts begin at the server first, then the near cache opens."""
        if not self.is_connected:
            self.is_connected = True
            self.near.open()
            self.proven_at = self.now

    def do_get(self) -> None:
        proven_at = self.proven_at
        entry = self.near.get("d")
        if entry is None:
            return
        self.used += 1
        assert self.is_connected
        true_at = max(proven_at, entry.read_at)
        assert entry.version >= self.versions[bisect_right(self.versions, true_at, key=itemgetter(0)) - 1][1]


@pytest.mark.parametrize("seed", range(10))
def test_what_is_remembered_is_as_new_as_its_age_says(seed: int) -> None:
    chance = random.Random(seed)
    world = World()
    for name in chance.choices(STEPS, WEIGHTS, k=20_000):
        world.step(name)
        world.do_get()
    assert world.used > 1000
