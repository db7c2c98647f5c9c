"""The order of things: top speed, load, each fault once, faults by chance, and what is there at the end.

The first half of the faults by chance belongs to the warm-up: its backlogs take the updater to the memory that it has in
every later one (docs/faults.md).
"""

import json
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from devicesync.errors import Unavailable
from devicesync.log.kafka.lag import group_lag
from soak.faults import MORTAL, Faults
from soak.load import Client, Pausable, Producer
from soak.system import GROUP, System
from soak.verdict import Verdict, verdict
from soak.vitals import Vitals, Watched, least, most, usual_memory, vitals_of

LIVING = ("updater", "api", "backup")
"""The processes that live as long as the soak."""

_SHARE_OF_TOP_SPEED = 0.7
_TO_MEASURE = 40_000
_BATCH = 1000
_CLIENTS = 8
"""So many at once that what a pool of connections may hold is reached in the warm-up."""

_SAMPLE_SECONDS = 5.0
_CALM_SECONDS = 30.0
_WINDOW_SECONDS = 60.0
_GIVEN_BACK_SECONDS = 60.0
"""By then every process has given back what a backlog took (cli/memory.py)."""

_CATCH_UP_SECONDS = 1200.0
_AFTER_SECONDS = 5.0
_BETWEEN_SECONDS = (2.0, 15.0)


@dataclass
class Soak:
    """One soak; `wrong` is what was not as it must be."""

    system: System
    seconds: float
    seed: int
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._faults = Faults(self.system, self._chance)
        self._samples: dict[str, list[Vitals]] = {name: [] for name in LIVING}
        self._most: dict[str, Vitals] = {}
        self._watched: list[Watched] = []
        self._verdict: Verdict | None = None
        self._began = time.monotonic()
        self._top = 0.0
        self._behind = 0
        self._most_behind = 0
        self._over = threading.Event()

    def run(self) -> None:
        """All of it; raises RuntimeError where it can't go on."""
        self._producer = Producer(self.system.open_log(), self.seed)
        address = self.system.start_api()
        self._clients = [Client(address, self.seed + number) for number in range(_CLIENTS)]
        self.system.start_backup()
        self._top = self._top_speed()
        self._producer.rate = self._top * _SHARE_OF_TOP_SPEED
        for load in self._load:
            load.start()
        self._began = time.monotonic()
        self._say(f"top speed {self._top:,.0f} records/s, load {self._producer.rate:,.0f}/s; each fault once")
        self._go(going=True)
        watching = threading.Thread(target=self._watch, daemon=True)
        watching.start()
        for name in self._faults.each_once():
            self._faults.do(name)
            self._wait(_AFTER_SECONDS)
        self._hurt(self.seconds / 2)
        self._calm()
        before = {**self._most}
        memory_before = self._memory_under_load()
        self._hurt(self.seconds / 2)
        self._calm()
        memory_after = self._memory_under_load()
        after = self._calm()
        self._watched = [Watched(name, memory_before[name], memory_after[name], before[name], after[name]) for name in LIVING]
        for load in self._load:
            load.end()
        self._catch_up()
        self._over.set()
        watching.join()
        self.wrong += self.system.ended() + [fault for watched in self._watched for fault in watched.faults()]
        self._verdict = verdict(self.system, {each for client in self._clients for each in client.acknowledged})
        self.wrong += self._verdict.wrong + [f"{device} at {version} was lost" for device, version in self._verdict.lost]

    def report(self) -> None:
        """Print a table, and a line of JSON."""
        print(f"\n{'process':<10}{'MiB':>16}{'growth':>9}{'descriptors':>14}{'threads':>10}{'connections':>14}")
        for each in self._watched:
            pairs = [f"{getattr(each.before, what)} → {getattr(each.after, what)}" for what in Vitals._fields[1:]]
            memory = f"{each.memory_before:.1f} → {each.memory_after:.1f}"
            print(f"{each.name:<10}{memory:>16}{each.growth:>9.1%}{pairs[0]:>14}{pairs[1]:>10}{pairs[2]:>14}")
        for name, count in sorted(self._faults.counts.items()):
            print(f"{count:>4} × {name}")
        for line in self.wrong[:20]:
            print(f"WRONG: {line}")
        found = self._verdict
        document = {
            "seconds": round(time.monotonic() - self._began),
            "seed": self.seed,
            "top_per_second": round(self._top),
            "load_per_second": round(self._top * _SHARE_OF_TOP_SPEED),
            "most_behind": self._most_behind,
            "faults": self._faults.counts,
            "records": found.records if found else None,
            "refused": found.refused if found else None,
            "devices": found.devices if found else None,
            "held_by_cache": found.held if found else None,
            "registered": sum(len(client.acknowledged) for client in self._clients),
            "answers": sum((client.statuses for client in self._clients), Counter()),
            "growth": {each.name: round(each.growth, 4) for each in self._watched},
            "wrong": len(self.wrong),
        }
        print(json.dumps(document), flush=True)

    def _hurt(self, seconds: float) -> None:
        """Do faults by chance for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._wait(self._chance.uniform(*_BETWEEN_SECONDS))
            self._faults.do(self._faults.any())

    @property
    def _load(self) -> list[Pausable]:
        return [self._producer, *self._clients]

    def _top_speed(self) -> float:
        """Records/s that two updaters take from a full topic into both stores, beside the backup that keeps them."""
        for _ in range(_TO_MEASURE // _BATCH):
            self._producer.send(self._producer.records(_BATCH))
        for name in ("updater", MORTAL):
            self.system.start_updater(name)
        marks: list[tuple[float, int]] = []
        while not marks or marks[-1][1]:
            marks.append((time.monotonic(), self._lag()))
            time.sleep(0.2)
        full = max(records for _, records in marks)
        steady = [mark for mark in marks if 0.1 * full < mark[1] < 0.9 * full] or marks
        (began, first), (ended, last) = steady[0], steady[-1]
        return (first - last) / max(ended - began, 0.2)

    def _calm(self) -> dict[str, Vitals]:
        """What each process holds when all is healed, applied, and nothing happens."""
        self._go(going=False)
        self._catch_up()
        samples = self._sampled(_CALM_SECONDS)
        self._go(going=True)
        return {name: least(of_process) for name, of_process in samples.items()}

    def _memory_under_load(self) -> dict[str, float]:
        self._wait(_GIVEN_BACK_SECONDS)
        return {name: usual_memory(samples) for name, samples in self._sampled(_WINDOW_SECONDS).items()}

    def _sampled(self, seconds: float) -> dict[str, list[Vitals]]:
        self._samples = {name: [] for name in LIVING}
        self._wait(seconds)
        return self._samples

    def _go(self, *, going: bool) -> None:
        for load in self._load:
            (load.going.set if going else load.going.clear)()

    def _catch_up(self) -> None:
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while self._lag():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._behind:,} records were not applied within {_CATCH_UP_SECONDS:.0f} s")
            self._wait(1)

    def _wait(self, seconds: float) -> None:
        self._check()
        time.sleep(seconds)

    def _check(self) -> None:
        if any(self.system.processes[name].poll() is not None for name in LIVING):
            raise RuntimeError("; ".join(self.system.ended()))

    def _watch(self) -> None:
        """Sample and say where we are, until all is over. The faults need the main thread: a server ends with its starter."""
        while not self._over.wait(_SAMPLE_SECONDS):
            for name in LIVING:
                with suppress(FileNotFoundError, ProcessLookupError):  # `_check` says it
                    vitals = vitals_of(self.system.processes[name].pid, self.system.directory)
                    self._samples[name].append(vitals)
                    self._most[name] = most([vitals, self._most.get(name, vitals)])
            memory = " ".join(f"{name} {samples[-1].memory_mib:.0f}" for name, samples in self._samples.items() if samples)
            self._say(
                f"sent {self._producer.sent:,}, behind {self._lag():,}, MiB: {memory}; "
                f"{sum(self._faults.counts.values())} faults, the last: {self._faults.last}"
            )

    def _lag(self) -> int:
        """How many records the group is behind; what was known last while Kafka is away."""
        with suppress(Unavailable):
            self._behind = group_lag(self.system.topic, GROUP).records
        self._most_behind = max(self._most_behind, self._behind)
        return self._behind

    def _say(self, what: str) -> None:
        elapsed = time.monotonic() - self._began
        print(f"{elapsed // 60:3.0f}:{elapsed % 60:02.0f} of {self.seconds / 60:.0f} min  {what}", flush=True)
