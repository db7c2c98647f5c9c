"""Histories of one machine: `up` with its journal and SQLite, another process that appends beside it, crashes and a full disk."""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from devicesync.api.answers import RequestError
from devicesync.api.fuse import Fuse
from devicesync.api.writer import Writer
from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.errors import Unavailable
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.update import READER, Updater
from devicesync.law.event import decode
from devicesync.law.state import NOTHING, State, join, state_of
from devicesync.log.journal import Journal
from devicesync.stores import Stores
from tests.histories.history import draw_event
from tests.law.strategies import few_entries
from tests.simulation import loop
from tests.simulation.clocks import ProcessClock, Stop, Time
from tests.simulation.dead_letters import KeptDeadLetters
from tests.simulation.disk import IN_MEMORY, Disk
from tests.simulation.gated import GatedDatabase
from tests.simulation.plan import line_of
from tests.simulation.scheduler import FATES, Process, done, gate

_VERBS = ("up", "register", "append")
_DEVICES = 3
_MOST_TURNS, _MOST_STEPS = 400, 4_000
_HAVE_COPIES, _FOR_EVER_SECONDS = 0.3, 1e9
_ALL = RefusalLimit(1, 1000, 60)


Said = tuple[int, State]
"""Of which device, and what."""


class Outcome(NamedTuple):
    """What was wrong, and the trace."""

    wrong: list[str]
    trace: list[str]


class Machine:
    """A data directory, who is at work there, and what they have promised."""

    def __init__(self, directory: Path, chance: random.Random) -> None:
        self.time, self.disk, self.dead = Time(), Disk(), KeptDeadLetters()
        self.wrong: list[str] = []
        self.trace: list[str] = []
        self._directory, self._chance = directory, chance
        self._segment_bytes = chance.choice((150, 400, 4000))
        self._most, self._number = dict.fromkeys(range(_DEVICES), NOTHING), 0
        self._acknowledged: list[Said] = []
        self._records: dict[int, Said] = {}
        self._position = -1
        self._database = SqliteDatabase(directory / "device-profile.db")
        self._has_copies = chance.random() < _HAVE_COPIES
        self._copy: sqlite3.Connection | None = None
        self._is_put_back = False

    def close(self) -> None:
        """Give back the database."""
        self._database.close()
        if self._copy:
            self._copy.close()

    def journal(self) -> Journal:
        """As a process opens it."""
        keep_seconds = _FOR_EVER_SECONDS if self._has_copies else 0.0
        return Journal(self._directory / "device-profile.log", segment_bytes=self._segment_bytes, retention_seconds=keep_seconds)

    def up(self, rounds: int) -> None:
        """The updater, for so many batches; until it has caught up where none are given."""
        stop = Stop(self.time)
        patience = Patience(stop)  # type: ignore[arg-type]
        journal = patience.until_it_works(self.journal)
        reader = patience.until_it_works(journal.reader, READER)
        stores = Stores(MemoryCache(2), GatedDatabase(self._database))
        patience.until_it_works(reader.bind, stores.database)
        self._is_put_back = False
        batch = self._chance.choice((1, 3, 10))
        updater = Updater(
            reader,
            stores,
            self.dead,
            source="journal",
            batch_records=batch,
            refusal_limit=_ALL,
            stop=stop,  # type: ignore[arg-type]
        )
        left = rounds
        while left or not rounds:
            done(gate("up polls"))
            read, left = updater.step(0), left - 1
            patience.until_it_works(journal.tidy)
            if not rounds and not read and patience.until_it_works(reader.caught_up):
                break
        updater.finish()
        reader.close()
        journal.close()

    def register(self, count: int) -> None:
        """The API's writer, which answers 503 where the log can't take it; registrations come by twos."""
        clock = ProcessClock(self.time)
        try:
            journal = self.journal()
        except Unavailable:
            return
        loop.run(clock, lambda: self._serve(Writer(journal, Fuse(2, "LOG_UNAVAILABLE", "")), count))
        journal.close()

    def append(self, count: int) -> None:
        """`simulate --to`, or whoever else appends: again and again until it is taken."""
        patience = Patience(Stop(self.time))  # type: ignore[arg-type]
        journal = patience.until_it_works(self.journal)
        for _ in range(count):
            line, state = self._drawn()
            number = patience.until_it_works(journal.append, [line])
            if number in self._records:
                self.wrong.append(f"two records were given the number {number}")
            self._records[number] = state
            self._acknowledged.append(state)
        journal.close()

    def fill_disk(self) -> None:
        """The disk becomes full, or has room again."""
        self.disk.is_full = not self.disk.is_full
        connection = self._database._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages if self.disk.is_full else 1 << 20}")
        self.trace.append(f"         the disk is {'full' if self.disk.is_full else 'free'}")

    def copy_or_put_back(self) -> None:
        """Nobody works with the database: it is copied, or an older copy is put in its place, as if it had lost its -wal."""
        if not self._has_copies or self.disk.is_full:
            return
        if self._copy is None:
            self._copy = sqlite3.connect(":memory:")
            self._database._connection.backup(self._copy)
            return
        with closing(self._copy):
            self._copy.backup(self._database._connection)
        self._copy, self._is_put_back = None, True
        self._database.close()
        self._database = SqliteDatabase(self._directory / "device-profile.db")
        self.trace.append("         an older copy of the database is put in its place")

    def look(self) -> None:
        """No position lies beyond what the database has, once the updater has seen it."""
        if self._is_put_back:
            return
        path = self._directory / f"device-profile.log.reader.{READER}"
        text = path.read_bytes()[:20] if path.exists() else b""
        position = int(text) if text.isdigit() else 0
        if position == self._position:
            return
        self._position = position
        for number, state in self._records.items():
            if number < position:
                self._is_stored(state, f"record {number} lies before the position {position}")

    def finish(self) -> None:
        """All is worked off."""
        for state in self._acknowledged:
            self._is_stored(state, "it was acknowledged")
        for device, most in self._most.items():
            held = self._database.read([str(device)]).get(str(device), NOTHING)
            if join(most, held) != most:
                self.wrong.append(f"device {device}: the database holds what nobody has said: {held}")

    async def _serve(self, writer: Writer, count: int) -> None:
        for _ in range(count):
            drawn = [self._drawn() for _ in range(2)]
            answers = await asyncio.gather(*[writer.append(line, b"") for line, _ in drawn], return_exceptions=True)
            for (_, state), answer in zip(drawn, answers, strict=True):
                if not isinstance(answer, BaseException):
                    self._acknowledged.append(state)
                elif not isinstance(answer, RequestError):
                    raise answer

    def _drawn(self) -> tuple[bytes, Said]:
        """A line, each with a version of its own."""
        self._number += 1
        device = self._chance.randrange(_DEVICES)
        event = draw_event(self._chance)
        version = event.version + self._number * 7
        event = msgspec.structs.replace(event, device_id=str(device), version=version, api_last_updated_on=0)
        line = line_of(event, str(device))
        state = state_of(decode(line, taken_ms=self.time.now_ms()))
        self._most[device] = join(self._most[device], state)
        return line, (device, state)

    def _is_stored(self, said: Said, why: str) -> None:
        device, wanted = said
        held = self._database.read([str(device)]).get(str(device), NOTHING)
        if join(held, wanted) != held:
            self.wrong.append(f"device {device}: {wanted} is not in the database, and {why}")


def run(seed: int) -> Outcome:
    """The history of a seed."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=IN_MEMORY) as directory:
        machine = Machine(Path(directory), chance)
        history = _History(machine, chance)
        try:
            with machine.disk.calls(), few_entries():
                history.run()
        finally:
            history.end()
            machine.close()
        return Outcome(machine.wrong, machine.trace)


class _History:
    def __init__(self, machine: Machine, chance: random.Random) -> None:
        self._machine, self._chance = machine, chance
        self._trouble, self._fills = chance.choice((0.0, 0.03, 0.1)), chance.choice((0.0, 0.02, 0.05))
        self._processes: list[Process] = []
        self._slots = [self._made(verb) for verb in _VERBS]

    def run(self) -> None:
        for _ in range(_MOST_TURNS):
            spot = self._chance.randrange(len(self._slots))
            if self._slots[spot].is_over:  # a supervisor starts it again
                self._slots[spot] = self._made(_VERBS[spot])
                if _VERBS[spot] == "up":
                    self._machine.copy_or_put_back()
            if self._chance.random() < self._fills:
                self._machine.fill_disk()
            fate = self._chance.choice(FATES) if self._chance.random() < self._trouble else "goes on"
            self._step(self._slots[spot], fate)
            if self._machine.wrong:
                return
        if self._machine.disk.is_full:
            self._machine.fill_disk()
        self._to_their_end(self._slots)
        self._to_their_end([self._process("drains", lambda: self._machine.up(0))])
        if not self._machine.wrong:
            self._machine.finish()

    def end(self) -> None:
        for process in self._processes:
            process.end()
            self._machine.disk.drop(process)

    def _made(self, verb: str) -> Process:
        count = self._chance.randint(1, 6)
        return self._process(verb, lambda: getattr(self._machine, verb)(count))

    def _process(self, name: str, work: Callable[[], None]) -> Process:
        process = Process(name, work, self._machine.trace.append)
        self._processes.append(process)
        return process

    def _step(self, process: Process, fate: Any) -> None:
        self._machine.time.pass_by(1_000)
        process.step(fate)
        if process.is_over:
            self._machine.disk.drop(process)
        if process.error and not isinstance(process.error, Stopped):
            self._machine.wrong.append(f"{process.name} ended with {process.error!r}")
        self._machine.look()

    def _to_their_end(self, processes: list[Process]) -> None:
        for _ in range(_MOST_STEPS):
            alive = [process for process in processes if not process.is_over]
            if not alive or self._machine.wrong:
                return
            for process in alive:
                self._step(process, "goes on")
        self._machine.wrong.append(f"{alive[0].name} does not end")
