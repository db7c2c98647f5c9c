"""Runs a plan, turn by turn, and then whatever is left, in order; the same plan and turns give the same history."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from unittest import mock

from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from tests.law.strategies import few_entries
from tests.simulation.invariants import Invariants
from tests.simulation.jobs import work
from tests.simulation.kafka_client import clients_of
from tests.simulation.lost import Told
from tests.simulation.plan import Plan, Turn, line_of
from tests.simulation.scheduler import current
from tests.simulation.threads import Pool
from tests.simulation.turns import Turns
from tests.simulation.world import Living, World

_WRITERS = ("devicesync.jobs.update.ThreadPoolExecutor", Pool)
_MOST_STEPS = 5_000
_TURN_US = 1_000
_AHEAD_US = DEFAULT_MAX_CLOCK_AHEAD_MS * 1_000


class Outcome(NamedTuple):
    """What came of it: the turns that were taken, what was wrong, and the trace."""

    turns: list[Turn]
    wrong: list[str]
    trace: list[str]


class Stuck(Exception):
    """A process that does not end although nothing is wrong any more."""


def run(plan: Plan, seed: int, given: list[Turn] | None = None, world: World | None = None, *, real: bool = False) -> Outcome:
    """Run a plan by these turns, or by those that the seed draws. real: such turns as real servers can follow."""
    with few_entries():
        return _run(plan, seed, given, world or World(plan.settings, plan.devices), real=real)


def _run(plan: Plan, seed: int, given: list[Turn] | None, world: World, *, real: bool) -> Outcome:
    try:
        return _History(plan, world, real=real).run(seed, given)
    finally:
        world.close()


class _History:
    def __init__(self, plan: Plan, world: World, *, real: bool) -> None:
        self._is_real = real
        self._plan, self._world = plan, world
        self._backs_up = any(verb.startswith("backup") for job in plan.jobs for verb, _ in job)
        self._law = Invariants(world, plan.old)
        self._trace: list[str] = []
        self._taken: list[Turn] = []
        self._processes: list[Living] = []
        for device, event in plan.old.items():
            world.write_old(world.names[device], event)

    def run(self, seed: int, given: list[Turn] | None) -> Outcome:
        told = Told(self._law.lost.are_told)
        by_reader, of_gaps = (mock.patch(f"devicesync.log.kafka.{name}._log", told) for name in ("reader", "gaps"))
        clients, files = clients_of(self._world.broker, self._now_ms), self._world.backup.processes()
        with clients, files, mock.patch(*_WRITERS), by_reader, of_gaps:
            for device, event in self._plan.lines:
                name = self._world.names[int(event.device_id) if not isinstance(event, bytes) else device]
                key = name.encode() if device >= 0 else None
                self._world.broker.append(key, line_of(event, name), None, -1, self._world.time.now_ms())
            self._law.look()
            processes = [self._process(f"{job[0][0]} {number}", job) for number, job in enumerate(self._plan.jobs)]
            try:
                self._run(seed, given, processes)
            finally:
                for process in self._processes:
                    process.end()
        return Outcome(self._taken, self._law.wrong, self._trace)

    def _run(self, seed: int, given: list[Turn] | None, processes: list[Living]) -> None:
        for turn in given if given is not None else self._drawn(seed, processes):
            if self._law.wrong:
                return
            self._take(turn, processes)
        if not self._law.wrong:
            self._work_off(processes)

    def _take(self, turn: Turn, processes: list[Living]) -> None:
        process = processes[turn.process]
        if turn.before:
            self._trace.append(f"         {turn.before.what} {turn.before.number}")
            self._world.befalls(turn.before, processes)
        if not process.is_over:
            self._step(process, turn)
        self._law.look()
        self._taken.append(turn)

    def _step(self, process: Living, turn: Turn) -> None:
        self._world.time.pass_by(_TURN_US)
        process.step(turn.fate)
        if process.error:
            self._law.wrong.append(f"{process.name} ended with {process.error!r}")

    def _drawn(self, seed: int, processes: list[Living]) -> Iterator[Turn]:
        draws = Turns(seed, self._plan.settings, real=self._is_real, backs_up=self._backs_up)
        for _ in range(draws.most):
            alive = [number for number, process in enumerate(processes) if not process.is_over]
            if not alive:
                return
            yield draws.next(alive)

    def _work_off(self, processes: Iterable[Living]) -> None:
        """Whoever is at work gets to the end; what is late comes; then all that is not committed is worked off."""
        self._world.redis.is_full = self._world.ring.is_down = False
        self._world.broker.make()
        self._world.backup.calm()
        for process in processes:
            if self._backs_up:  # which ends when it is told to
                process.stop.set()
            if process.clock.ahead_us > _AHEAD_US:  # then an erase waits until somebody sets it
                process.clock.step(0)
            self._to_its_end(process)
        self._world.calm()
        self._world.ring.repair()
        if self._backs_up:
            self._to_its_end(self._process("backs up", [("backup_all", (1 << 20, 3600.0, "parquet", 1000))]))
            for device, name in enumerate(self._world.names):
                if name in self._law.backup.gone.redacted:
                    self._to_its_end(self._process("redacts", [("redact", device)]))
            if not self._law.wrong:
                self._law.finish_backup()
            return
        if self._world.failed_over:
            self._to_its_end(self._process("rebuilds", [("rebuild", None)]))
        self._to_its_end(self._process("drains", [("update", 0)]))
        if not self._law.wrong:
            self._law.finish()

    def _to_its_end(self, process: Living) -> None:
        for _ in range(_MOST_STEPS):
            if process.is_over or self._law.wrong:
                return
            self._step(process, Turn(0))
            self._law.look()
        raise Stuck(process.name)

    def _process(self, name: str, job: list[tuple[str, object]]) -> Living:
        self._processes.append(Living(self._world, name, work(self._world, self._law, job), self._trace.append))
        return self._processes[-1]

    def _now_ms(self) -> int:
        process = current()
        return process.clock.now_ms() if isinstance(process, Living) else self._world.time.now_ms()
