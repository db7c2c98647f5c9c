"""A crowd of strangers at random, phase after phase; a kill and a stop in the midst of it. What was promised is there."""

import asyncio
import fcntl
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random

import pytest

from devicesync.database.sqlite import SqliteDatabase
from devicesync.jobs.batch import join_events
from devicesync.law.event import Event, decode
from tests.api.attacked import Attacked
from tests.end_to_end.command import WAIT_SECONDS, until
from tests.strangers.answers import Answers
from tests.strangers.honest import Honest
from tests.strangers.requests import KINDS, Kind
from tests.strangers.visit import Visit, pay, some_visit

LIVES = range(int(os.environ.get("FUZZ_LIVES", "1")))
CROWD, ADDRESSES, VISITS = 60, 15, 4
LIMITS = "max_connections = 40\nmax_connections_per_address = 12\n"
LIKE_OTHERS = 0.7
DATABASE, LOCK = "devicesync-data/device-profile.db", "devicesync-data/device-profile.log.lock"


class Life:
    """Two processes, one after the other, in a directory. acknowledged: (device, version) of all that was promised."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = Random(seed)
        self.acknowledged: set[tuple[str, int]] = set()
        self.addresses = [f"127.{self.chance.randint(1, 99)}.0.{number + 1}" for number in range(ADDRESSES)]

    async def live(self) -> None:
        """Each has half of the kinds, a phase of each, and one more phase in which it ends."""
        (self.directory / "devicesync.toml").write_text(LIMITS)
        kinds = self.chance.sample(KINDS, len(KINDS))
        for by, some in ((signal.SIGKILL, kinds[::2]), (signal.SIGTERM, kinds[1::2])):
            attacked = Attacked(self.directory, "up")
            try:
                await self._attack(attacked, some, by)
            finally:
                attacked.kill()

    async def _attack(self, attacked: Attacked, kinds: list[Kind], by: signal.Signals) -> None:
        honest = Honest(attacked)
        for kind in kinds:
            with ExitStack() as held:
                async with asyncio.TaskGroup() as both:
                    crowd = both.create_task(self._crowd(attacked.port, kind, held))
                    while not crowd.done():
                        await honest.look()
                await honest.look()
        await honest.nobody_is_there()
        with ExitStack() as held:
            async with asyncio.TaskGroup() as both:
                crowd = both.create_task(self._crowd(attacked.port, KINDS[0], held))
                if by == signal.SIGKILL:  # the journal takes nothing any more, so nothing is promised
                    fcntl.flock(held.enter_context((self.directory / LOCK).open()), fcntl.LOCK_EX)
                    await crowd
                else:
                    await honest.look()
                attacked.process.send_signal(by)
                _, said = await asyncio.to_thread(attacked.process.communicate, None, WAIT_SECONDS)
        self.acknowledged.update(honest.acknowledged)
        assert attacked.process.returncode == (0 if by == signal.SIGTERM else -by), said
        assert len(said) < 4000, said
        assert "Traceback" not in said, said

    async def _crowd(self, port: int, kind: Kind, held: ExitStack) -> None:
        common = [some_visit(self.chance, kind) for _ in range(VISITS)]
        async with asyncio.TaskGroup() as crowd:
            for _ in range(CROWD):
                crowd.create_task(self._stranger(port, kind, common, Random(self.chance.random()), held))

    async def _stranger(self, port: int, kind: Kind, common: list[Visit], own: Random, held: ExitStack) -> None:
        """Most visits are like those of all others."""
        for of_all in common:
            visit = of_all if own.random() < LIKE_OTHERS else some_visit(own, kind)
            answers = Answers(visit.asked)
            opened = held.enter_context(socket.socket())
            opened.bind((own.choice(self.addresses), 0))
            await pay(visit, opened, port, answers)
            self.acknowledged.update(answers.acknowledged)

    def look_at_what_is_left(self) -> None:
        """All that was promised is in the journal, the law takes each line of it, and says what the database has at the end."""
        events = list(_logged(self.directory / "devicesync-data"))
        assert self.acknowledged - {(event.device_id, event.version) for event in events} == set()
        wanted = join_events(events)
        attacked = Attacked(self.directory, "up")
        try:
            with closing(SqliteDatabase(self.directory / DATABASE, read_only=True)) as database:
                until(lambda: database.read(list(wanted)) == wanted)
        finally:
            attacked.kill()


def _logged(directory: Path) -> Iterator[Event]:
    for file in directory.iterdir():
        if re.fullmatch(r"device-profile\.log(\.\d+)?", file.name):
            for line in file.read_bytes().splitlines():
                yield decode(line, taken_ms=time.time_ns() // 1_000_000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", LIVES)
def test_strangers_at_random_break_no_promise(tmp_path: Path, seed: int) -> None:
    """FUZZ_LIVES=100 tries more."""
    life = Life(tmp_path, seed)
    asyncio.run(life.live())
    life.look_at_what_is_left()
