"""An audit under live traffic: all that is planted must be found and repaired, and nothing else; and what a live audit costs.

Real Redis, Cassandra and Kafka, an updater, and so many registrations a second. Some devices of each of ten ways (differences.py)
are made to differ. The sweep must name just these, `--repair` must mend all of them, and the next sweep must find nothing.

Then, under the same traffic, the updater alone and beside `audit --live`, in turn: its time and CPU an event; and the rates at
which it works off a topic. All of it on the same cores, the servers too.

    DEVICES=1000000 PYTHONPATH=. python benchmarks/planted.py [--each 200] [--rate 2000] [--turns 3]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from audit import load
from commands import Running, Traffic, running, told, until
from confluent_kafka import Consumer, TopicPartition
from differences import WAYS, Planted
from figures import tell
from real_servers import Servers, servers

from devicesync.log.kafka.survey import survey
from devicesync.log.kafka.url import KafkaUrl

WINDOW_SECONDS = 15.0
BACKLOG = 60_000
GROUP = "bench"
READ, CHECKED = "devicesync_updater_read_total", "devicesync_audit_checked_total"
STEPS = [f'devicesync_updater_step_seconds_sum{{step="{step}"}}' for step in ("decode", "write", "dead_letters", "commit")]
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=int(os.environ.get("DEVICES", "100000")))
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    with servers(arguments.devices) as up, tempfile.TemporaryDirectory() as directory:
        load(up, "planted", arguments.devices)
        log = up.load("traffic", [])
        where = [
            *("--log", f"kafka://127.0.0.1:{up.log.port}/traffic"),
            *("--database", f"cassandra://127.0.0.1:{up.database.port}/planted"),
            *("--cache", f"redis://127.0.0.1:{up.cache.port}/2"),
        ]
        bench = Bench(up, where, Path(directory), arguments)
        with running(["update"], where, Path(directory), GROUP) as updater:
            with Traffic(log, up, arguments.devices - WAYS * arguments.each, arguments.rate) as traffic:
                bench.find_and_repair()
                bench.live(updater)
            tell("registrations a second meanwhile", traffic.sent / traffic.seconds, "", least=0.95 * arguments.rate)
        bench.backlog()


class Bench:
    """The parts, in their order."""

    def __init__(self, up: Servers, where: list[str], directory: Path, arguments: argparse.Namespace) -> None:
        self._up, self._where, self._directory, self._arguments = up, where, directory, arguments

    def find_and_repair(self) -> None:
        """Three sweeps: what they find."""
        devices = self._arguments.devices
        planted = Planted(self._up, "planted", devices, self._arguments.each)
        planted.plant()
        found = self._sweep("--list")
        kinds = {each["device_id"]: each["kind"] for each in found["devices"]}
        right = sum(planted.kinds.get(name) == kind for name, kind in kinds.items())
        count = len(planted.kinds)
        what = f"planted differences, found by a sweep of {devices:,} devices"
        tell(what, right / count, "", least=1, more=f"{count:,}, of {WAYS} ways; {found['seconds']:.0f} s")
        tell("differences that nobody planted", len(kinds) - right, "", most=0, more=f"{found['moving']} moving")
        repaired = self._sweep("--repair")
        tell("of them repaired", repaired["repaired"] / count, "", least=1, more=f"{repaired['seconds']:.0f} s")
        clean = self._sweep()
        left = sum(clean["differences"].values()) + clean["expiring"]
        more = f"bound at 95 %: {clean['bound_95']:.2g}; {clean['checked'] / clean['seconds']:,.0f} devices/s"
        tell("differences in the next sweep", left, "", most=0, more=more)

    def live(self, updater: Running) -> None:
        """The updater's time and CPU an event at the given rate, beside a live audit and alone, window by window."""
        alone, beside, shares = [], [], []
        for _ in range(self._arguments.turns):
            alone.append(window(updater))
            self._begin_at_the_end()
            with running(["audit", "--live"], self._where, self._directory, GROUP) as audit:
                until(lambda audit=audit: audit.metrics().get(CHECKED, 0) > 0)  # type: ignore[misc]
                checked = audit.metrics()[CHECKED]
                beside.append(window(updater))
                shares.append((audit.metrics()[CHECKED] - checked) / WINDOW_SECONDS / self._arguments.rate)
        tell("of these looked at by the live audit beside", median(shares), "", least=0.9)
        at = f"at {self._arguments.rate:,} events/s"
        for name, what in (("cpu_us", "CPU time"), ("busy_us", "time")):
            of_alone, of_beside = (median(figures[name] for figures in some) for some in (alone, beside))
            ratio = median(mine[name] / its[name] for its, mine in zip(alone, beside, strict=True))
            more = f"{of_beside:.0f} against {of_alone:.0f} µs an event"
            tell(f"{at}: the updater's {what} beside `audit --live`", ratio, "×", most=1.05, more=more)

    def _begin_at_the_end(self) -> None:
        """Where the live audit is to begin: what came before is not its business here."""
        place = KafkaUrl.parse(self._where[1])
        ends = {partition: end for partition, (_, end) in survey(place).bounds.items()}
        consumer = Consumer({**place.client, "group.id": f"{GROUP}.audit"})
        consumer.commit(offsets=[TopicPartition(place.topic, *at) for at in ends.items()], asynchronous=False)
        consumer.close()

    def backlog(self) -> None:
        """The updater's rate through a topic, beside a live audit of the same topic, and alone."""
        rates: dict[str, list[float]] = {"alone": [], "beside": []}
        for turn in range(self._arguments.turns):
            where = self._backlog(f"alone-{turn}")
            rates["alone"].append(self._through(where))
            where = self._backlog(f"beside-{turn}")
            with running(["audit", "--live"], where, self._directory, GROUP):
                rates["beside"].append(self._through(where))
        ratio = median(mine / its for its, mine in zip(rates["alone"], rates["beside"], strict=True))
        more = f"{median(rates['beside']):,.0f} against {median(rates['alone']):,.0f} events/s, all on the same cores"
        tell("the updater at its full rate beside `audit --live` of the same records", ratio, "×", least=0.95, more=more)

    def _backlog(self, topic: str) -> list[str]:
        """The flags of a topic of registrations that are newer than all before."""
        began_ms = time.time_ns() // 1_000_000 - BACKLOG
        self._up.load(topic, list(self._up.simulation.records(BACKLOG, began_ms)))
        return ["--log", f"kafka://127.0.0.1:{self._up.log.port}/{topic}", *self._where[2:]]

    def _through(self, where: list[str]) -> float:
        with running(["update"], where, self._directory, GROUP) as updater:
            until(lambda: updater.metrics().get(READ, 0) > 0)
            began, first = time.monotonic(), updater.metrics()[READ]
            until(lambda: updater.metrics()[READ] >= BACKLOG)
            return (BACKLOG - first) / (time.monotonic() - began)

    def _sweep(self, *words: str) -> Any:
        return told(["audit", "--sweep", *words], self._where, self._directory)


def window(updater: Running) -> Figures:
    """What an event costs the updater, in a while."""
    before, cpu = updater.metrics(), updater.cpu_seconds()
    time.sleep(WINDOW_SECONDS)
    cpu, after = updater.cpu_seconds() - cpu, updater.metrics()
    events = after[READ] - before[READ]
    busy = sum(after[step] - before[step] for step in STEPS)
    return {"cpu_us": cpu / events * 1e6, "busy_us": busy / events * 1e6}


if __name__ == "__main__":
    main()
