"""What processes do, by the verbs of a plan: each runs the real jobs. Law is told what a job has promised when it returns."""

import io
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from devicesync.jobs.apply import apply, lines_of
from devicesync.jobs.batch import join_events
from devicesync.jobs.delivery import Direct
from devicesync.jobs.erase import erase
from devicesync.jobs.rebuild import rebuild_range
from devicesync.jobs.replay import replay
from devicesync.jobs.restore.prove import write_and_prove
from devicesync.jobs.shared.patience import Patience, Stopped
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.update import Updater
from devicesync.law.event import Event, decode
from devicesync.law.refusal import Refused
from devicesync.law.state import State
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from devicesync.log.kafka.log import group_of
from tests.simulation import loop
from tests.simulation.api import Api
from tests.simulation.backup_jobs import BackupJobs
from tests.simulation.plan import Job, line_of
from tests.simulation.promises import Law
from tests.simulation.world import GROUP, Living, World

_ENOUGH = RefusalLimit(1, 1000, 60)
_NAPS = 40


def work(world: World, law: Law, job: Job) -> Callable[[Living], None]:
    """What a process does."""

    def run(process: Living) -> None:
        jobs = Jobs(world, law, process)
        with suppress(Stopped):
            for verb, what in job:
                getattr(jobs, verb)(what)

    return run


class Jobs(BackupJobs):
    """The verbs, for one process."""

    def __init__(self, world: World, law: Law, process: Living) -> None:
        self._world, self._law, self._process = world, law, process
        self._stores = world.stores(process.clock)
        self._patience = Patience(process.stop)

    def update(self, rounds: int) -> None:
        """The updater, for so many batches, or until its group has caught up (0)."""
        self._follow("updater", rounds)

    def replay(self, rounds: int) -> None:
        """An updater of another group, from the log's beginning."""
        self._follow("again", rounds)

    def append(self, lines: list[tuple[int, Event | bytes]]) -> None:
        """Another program writes to the log."""
        log = self._world.log(self._process.clock)
        keys = [None if device < 0 else self._name(event, device).encode() for device, event in lines]
        values = [self._line(device, event) for device, event in lines]
        self._patience.until_it_works(lambda: log.append(values, keys))

    def nap(self, turns: int) -> None:
        """Nothing."""
        for _ in range(turns):
            self._process.clock.sleep(0.01)

    def apply(self, lines: list[tuple[int, Event | bytes]]) -> None:
        """`devicesync apply`."""
        file = io.BytesIO(b"\n".join(self._line(device, event) for device, event in lines))
        clock = self._process.clock
        batches = [*lines_of(file, self._world.settings.batch_records, clock)]
        apply(batches, self._delivery(), self._world.dead, source="file", refusal_limit=_ENOUGH, stop=self._process.stop)
        events = []
        for batch in batches:
            for line in batch:
                with suppress(Refused):
                    events.append(decode(line.value, taken_ms=line.read_ms))
        self._law.keeps(join_events(events))

    def replay_refused(self, seconds: int) -> None:
        """`devicesync dead-letters replay`, a while after there are some: what came from a clock that was ahead is valid then."""
        clock, dead = self._process.clock, self._world.dead
        for _ in range(_NAPS):
            if not dead.letters:
                self.nap(1)
        clock.sleep(seconds)
        letters = dead.find()[1]
        now_ms, events = clock.now_ms(), []
        for letter in letters:
            with suppress(Refused):
                events.append(decode(letter.value or b"", taken_ms=now_ms))
        ahead_ms = DEFAULT_MAX_CLOCK_AHEAD_MS
        self._until_it_works(lambda: replay(letters, dead, self._delivery(), max_clock_ahead_ms=ahead_ms, clock=clock))
        self._law.keeps(join_events(events))

    def serve(self, requests: list[tuple[str, int, Any]]) -> None:
        """`devicesync api`."""
        loop.run(self._process.clock, lambda: Api(self._world, self._law, self._process).serve(requests))

    def erase(self, device: int) -> None:
        """`devicesync erase`."""
        name, ahead_ms, clock = self._world.names[device], DEFAULT_MAX_CLOCK_AHEAD_MS, self._process.clock
        with suppress(Refused):
            version = self._until_it_works(
                lambda: erase(name, self._stores, self._delivery(), max_clock_ahead_ms=ahead_ms, clock=clock)
            )
            if version:
                self._law.keeps({name: State(erased=version)})

    def read(self, device: int) -> None:
        """A reader of the API."""
        name = self._world.names[device]

        def read() -> None:
            began = self._law.begins(name)
            self._law.sees(name, self._stores.read(name), began)

        self._until_it_works(read)

    def rebuild(self, _: None) -> None:
        """`devicesync rebuild`."""
        for number in range(self._stores.database.ranges):
            self._until_it_works(partial(rebuild_range, number, self._stores))

    def restore(self, count: int) -> None:
        """`devicesync restore --to-stores --until`: of the log's first records; and every later erase."""
        events = []
        for number, (value, taken_ms) in enumerate(self._law.logged()):
            with suppress(Refused):
                event = decode(value, taken_ms=taken_ms, logged_ms=taken_ms)
                if event.erase or number < count:
                    events.append(event)
        states = join_events(events)
        self._until_it_works(lambda: write_and_prove(states, self._stores, dry_run=False, clock=self._process.clock))
        self._law.keeps(states)

    def _follow(self, name: str, rounds: int) -> None:
        self._process.group = group_of(GROUP, name)
        reader = self._world.log(self._process.clock).reader(name)
        updater = Updater(
            reader,
            self._stores,
            self._world.dead,
            source=self._world.broker.topic,
            batch_records=self._world.settings.batch_records,
            refusal_limit=_ENOUGH,
            stop=self._process.stop,
        )
        left = rounds or 1
        while left and not self._process.stop.is_set():
            read = updater.step(0.2)
            self._process.clock.sleep(0.11)
            if rounds:
                left -= 1
            elif not read and Patience(self._process.stop, reader.keep_alive).until_it_works(reader.caught_up):
                self._law.has_caught_up(self._process.group)
                left = 0
        updater.finish()
        reader.close()

    def _until_it_works(self, call: Callable[[], Any]) -> Any:
        return self._patience.until_it_works(call)

    def _delivery(self) -> Direct:
        return Direct(self._world.log(self._process.clock), self._stores, self._process.stop)

    def _name(self, event: Event | bytes, device: int) -> str:
        return self._world.names[int(event.device_id) if isinstance(event, Event) else device]

    def _line(self, device: int, event: Event | bytes) -> bytes:
        return line_of(event, self._name(event, device))
